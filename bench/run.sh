#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All benchmarks: bench/run.sh [FOLDER for the JSON files, default build/bench]
# A goal that is not met is said, and is no failure: figures depend on the machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../build/bench}
mkdir -p "$out"
export PYTHONDONTWRITEBYTECODE=1
python3 "$here/engine.py" --json "$out/engine.json"
python3 "$here/nvmf_tcp.py" --json "$out/nvmf_tcp.json"
python3 "$here/blobstore.py" --json "$out/blobstore.json"
python3 "$here/discover.py" --json "$out/discover.json"
python3 "$here/agent.py" --json "$out/agent.json"
python3 "$here/driver.py" --json "$out/driver.json"
python3 - "$out/engine.json" "$out/nvmf_tcp.json" "$out/blobstore.json" "$out/discover.json" \
	"$out/agent.json" "$out/driver.json" <<'END'
import json, sys
rows = [row for path in sys.argv[1:] for row in json.load(open(path))["goals"]
        if row["met"] is not None]
met = [row for row in rows if row["met"]]
print(f"{len(met)} of {len(rows)} goals met" + "".join(
    f"\n  not met: {row['name']}: {row['value']:.2f} {row['unit']}, goal {row['goal']:g}"
    for row in rows if not row["met"]))
END
