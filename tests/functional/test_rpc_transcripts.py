# SPDX-License-Identifier: Apache-2.0
"""What a real SPDK 26.05 answered, asked again of ours: codes and shapes are the same."""

import json

import pytest

from conftest import Target

# Steps where ours differs on purpose, and why (docs/compatibility.md).
DIFFERENT = {
    "01_basics": {
        13: "{} for a method without parameters is accepted",
        121: "unknown parameters are refused by every method",
    },
    "02_waitrpc": {
        56: "all of these are optional",
        66: "connections are spread over all reactors",
        79: "there is the static scheduler only", 80: "see 79",
        94: "unknown parameters are refused by every method",
    },
    "03_bdev_null_malloc": {
        46: "UUIDs are found in any case",
        70: "the next free name is taken",
        72: "no metadata", 73: "no metadata", 74: "no metadata",
        90: "see 72", 91: "see 73", 92: "see 74",
        79: "a block size of 0 is an invalid argument, not a lack of memory",
    },
    "03_bdev_iostat_qos": {
        **dict.fromkeys((46, 48, 50, 52, 54, 56, 58, 59, 68), "limits can be changed with the bdev closed"),
        6: "the one name of releases before 23.09 is accepted",
        71: "no sampling of queue depths", 73: "no sampling of queue depths",
    },
    "03_bdev_qos": dict.fromkeys((5, 7, 9, 11, 13, 15, 17, 18, 27, 36),
                                 "limits can be changed with the bdev closed"),
    "04_lvol": {
        27: "{} asks for all stores",
        65: "size in bytes, of releases before 24.05, is accepted",
        136: "no memory domains", 147: "see 136",
        161: "a copy takes its time", 162: "see 161",
        104: "a rename of a snapshot is refused, and its alias stays",
        105: "see 104",
    },
    "04_lvol_odd": {
        8: "an empty name is refused", 12: "see 8", 13: "see 8", 11: "see 8",
        14: "an empty name is refused as that",
        16: "64 characters are refused", 19: "see 16", 27: "see 16",
        32: "the store is found again", 33: "see 32",
    },
    "05_nvmf": {
        12: "unknown parameters are refused first",
        152: "no second target connects here", 153: "no second target connects here",
    },
}

# Answers whose members depend on what a target is made of.
OWN_SHAPE = {"framework_get_config", "framework_get_subsystems", "iobuf_get_stats",
             "log_get_flags", "rpc_get_methods"}
OWN_ANSWER = {("framework_get_config", name) for name in (
    "accel", "fsdev", "iscsi", "keyring", "nbd", "scsi", "sock", "vhost_blk", "vhost_scsi", "vmd")}
OWN_ANSWER |= {(method, flag) for method in ("log_set_flag", "log_clear_flag")
               for flag in ("bdev",)}

SCENARIOS = ["01_basics", "02_waitrpc", "03_bdev_null_malloc", "03_bdev_iostat_qos", "03_bdev_qos",
             "03_bdev_qos_open", "04_lvol", "04_lvol_odd", "04_lvol_crash", "05_nvmf", "05_nvmf_filter"]


def shape(value):
    if isinstance(value, dict):
        return {key: shape(member) for key, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def options_of(argv):
    """The recorded command line, but for its socket and core."""
    options = list(argv[1:])
    for name in ("-r", "-m"):
        at = options.index(name)
        del options[at:at + 2]
    return options


def is_own(request):
    params = request.get("params")
    first = next(iter(params.values()), None) if isinstance(params, dict) and params else None
    return (request["method"], first) in OWN_ANSWER if isinstance(first, str) else False


def core_is_held(answer):
    """By another program of ours on this machine: right to be refused, and no matter here."""
    return "is held by another cyborg-spdk program" in answer.get("error", {}).get("message", "")


def compare(step, answer):
    wanted, request = step["response"], step["request"]
    if request["method"] == "framework_enable_cpumask_locks" and core_is_held(answer):
        return
    where = f"step {step['step']}: {request}\nSPDK: {wanted}\nours: {answer}"
    if "error" in wanted:
        assert "error" in answer, where
        assert answer["error"]["code"] == wanted["error"]["code"], where
        assert answer["error"]["message"], where
    else:
        assert "result" in answer, where
        if request["method"] not in OWN_SHAPE:
            assert shape(answer["result"]) == shape(wanted["result"]), where


class Replay:
    """A target that is started and stopped as the transcript says, and files beside it."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.target = self.client = None
        self.methods = ()
        self.ours = {}
        self.result = None

    def event(self, step):
        """What happens besides requests: files, and values that are asked for again later."""
        if step["event"] == "file":
            with open(self.folder / step["name"], "ab") as f:
                f.truncate(step["size"])
        elif step["event"] == "rm":
            (self.folder / step["name"]).unlink(missing_ok=True)
        elif step["event"] == "capture" and step["path"] == ".":
            self.ours[step["value"]] = self.result

    def params(self, params):
        """The recorded parameters with our values and files in them."""
        if not isinstance(params, dict):
            return params
        params = {key: self.ours.get(value, value) if isinstance(value, str) else value
                  for key, value in params.items()}
        if isinstance(params.get("filename"), str) and params["filename"].endswith(".img"):
            params["filename"] = str(self.folder / params["filename"])
        return params

    def start(self, argv):
        self.stop()
        self.target = Target(self.program("cyborg-spdk-tgt"), options_of(argv)).wait_ready()
        self.client = self.target.client()
        self.methods = self.client.call("rpc_get_methods", include_aliases=True)

    def stop(self):
        if self.target:
            self.target.check()
            self.target.remove()
            self.target = None

    def step(self, step):
        method = step["request"]["method"]
        if method not in self.methods and method.partition("_")[0] != "no":
            return False
        answer = self.client.call_raw(method, self.params(step["request"].get("params")))
        self.result = answer.get("result")
        if step["response"] is not None and not is_own(step["request"]):
            compare(step, answer)
        return True


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_transcript(program, reference, scenario, tmp_path):
    replay = Replay(program, tmp_path)
    held = 0
    try:
        with open(reference / "transcripts" / f"{scenario}.jsonl", encoding="utf-8") as f:
            for step in map(json.loads, f):
                if step.get("target", 1) != 1:
                    continue
                if step.get("event") == "start":
                    replay.start(step["argv"])
                elif step.get("event") in ("file", "rm", "capture"):
                    replay.event(step)
                elif "request" in step and step.get("event") in (None, "timeout"):
                    if step["step"] in DIFFERENT.get(scenario, {}):
                        step = {**step, "response": None}
                    held += replay.step(step)
        replay.stop()
    finally:
        if replay.target:
            replay.target.remove()
    assert held > 10
