/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe as it stands in memory and on the wire: NVM Express Base Specification 2.0, NVM Command Set
 * 1.0, NVMe over Fabrics (part of Base 2.0). All fields little-endian: read and write them with
 * base/le.h or le*toh().
 *
 * Threading: constants and types only.
 */
#ifndef NVME_SPEC_H
#define NVME_SPEC_H

#include <stddef.h>
#include <stdint.h>

#define NVME_NQN_MAX	    223u /* bytes without the terminating NUL (Base 2.0, 4.5) */
#define NVME_NQN_FIELD	    256u
#define NVME_DISCOVERY_NQN  "nqn.2014-08.org.nvmexpress.discovery"
#define NVME_NSID_ALL	    UINT32_C(0xffffffff)
#define NVME_CNTLID_DYNAMIC UINT16_C(0xffff)
#define NVME_CNTLID_STATIC  UINT16_C(0xfffe)
#define NVME_SERIAL_BYTES   20u
#define NVME_MODEL_BYTES    40u

/* --- submission and completion queue entries (Base 2.0, 3.3.3) ---------------------------------
 */

/* SGL descriptor (4.1.2); the last byte holds type (high) and subtype (low nibble). */
#define NVME_SGL_DATA_BLOCK	   0x0u
#define NVME_SGL_BIT_BUCKET	   0x1u
#define NVME_SGL_SEGMENT	   0x2u
#define NVME_SGL_LAST_SEGMENT	   0x3u
#define NVME_SGL_KEYED_DATA_BLOCK  0x4u
#define NVME_SGL_TRANSPORT_DATA	   0x5u
#define NVME_SGL_SUBTYPE_ADDRESS   0x0u
#define NVME_SGL_SUBTYPE_OFFSET	   0x1u
#define NVME_SGL_SUBTYPE_TRANSPORT 0xau

struct nvme_sgl {
	uint64_t address;
	uint32_t length;
	uint8_t reserved[3];
	uint8_t type; /* type << 4 | subtype */
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_sgl) == 16, "SGL descriptor");

#define NVME_CMD_FUSE_MASK   0x03u
#define NVME_CMD_FUSE_NONE   0x00u
#define NVME_CMD_FUSE_FIRST  0x01u
#define NVME_CMD_FUSE_SECOND 0x02u
#define NVME_CMD_PSDT_MASK   0xc0u
#define NVME_CMD_PSDT_PRP    0x00u
#define NVME_CMD_PSDT_SGL    0x40u
#define NVME_CMD_PSDT_SGL_MD 0x80u

struct nvme_cmd {
	uint8_t opc;
	uint8_t flags; /* fuse, psdt */
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t mptr;
	union {
		struct nvme_sgl sgl;
		struct {
			uint64_t prp1;
			uint64_t prp2;
		} __attribute__((packed)) prp;
	} dptr;
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_cmd) == 64, "submission queue entry");
_Static_assert(offsetof(struct nvme_cmd, dptr) == 24, "submission queue entry");
_Static_assert(offsetof(struct nvme_cmd, cdw10) == 40, "submission queue entry");

struct nvme_cpl {
	uint32_t cdw0;
	uint32_t cdw1;
	uint16_t sqhd;
	uint16_t sqid;
	uint16_t cid;
	uint16_t status; /* phase tag in bit 0, then sc, sct, crd, m, dnr */
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_cpl) == 16, "completion queue entry");

/* The status field behind the phase tag (3.3.3.2.1). */
#define NVME_STATUS(sct, sc) ((uint16_t)((uint16_t)((sct) << 9) | (uint16_t)((sc) << 1)))
#define NVME_STATUS_DNR	     UINT16_C(0x8000)
#define NVME_STATUS_MORE     UINT16_C(0x4000)
#define NVME_STATUS_CRD(n)   ((uint16_t)((n) << 12))
static inline uint8_t nvme_status_sc(uint16_t status)
{
	return (uint8_t)(status >> 1);
}
static inline uint8_t nvme_status_sct(uint16_t status)
{
	return (uint8_t)(status >> 9 & 7);
}

/* Status code types. */
#define NVME_SCT_GENERIC 0u
#define NVME_SCT_COMMAND 1u
#define NVME_SCT_MEDIA	 2u
#define NVME_SCT_PATH	 3u
#define NVME_SCT_VENDOR	 7u

/* Generic command status (Figure 94). */
enum nvme_sc_generic {
	NVME_SC_SUCCESS = 0x00,
	NVME_SC_INVALID_OPCODE = 0x01,
	NVME_SC_INVALID_FIELD = 0x02,
	NVME_SC_CID_CONFLICT = 0x03,
	NVME_SC_DATA_TRANSFER_ERROR = 0x04,
	NVME_SC_POWER_LOSS = 0x05,
	NVME_SC_INTERNAL_ERROR = 0x06,
	NVME_SC_ABORTED_BY_REQUEST = 0x07,
	NVME_SC_ABORTED_SQ_DELETION = 0x08,
	NVME_SC_ABORTED_FAILED_FUSED = 0x09,
	NVME_SC_ABORTED_MISSING_FUSED = 0x0a,
	NVME_SC_INVALID_NAMESPACE = 0x0b,
	NVME_SC_SEQUENCE_ERROR = 0x0c,
	NVME_SC_INVALID_SGL_SEGMENT = 0x0d,
	NVME_SC_INVALID_SGL_COUNT = 0x0e,
	NVME_SC_DATA_SGL_LENGTH_INVALID = 0x0f,
	NVME_SC_METADATA_SGL_LENGTH_INVALID = 0x10,
	NVME_SC_SGL_TYPE_INVALID = 0x11,
	NVME_SC_INVALID_CMB_USE = 0x12,
	NVME_SC_PRP_OFFSET_INVALID = 0x13,
	NVME_SC_ATOMIC_WRITE_EXCEEDED = 0x14,
	NVME_SC_OPERATION_DENIED = 0x15,
	NVME_SC_SGL_OFFSET_INVALID = 0x16,
	NVME_SC_HOSTID_FORMAT = 0x18,
	NVME_SC_KATO_EXPIRED = 0x19,
	NVME_SC_KATO_INVALID = 0x1a,
	NVME_SC_ABORTED_PREEMPT = 0x1b,
	NVME_SC_SANITIZE_FAILED = 0x1c,
	NVME_SC_SANITIZE_IN_PROGRESS = 0x1d,
	NVME_SC_NAMESPACE_WRITE_PROTECTED = 0x20,
	NVME_SC_COMMAND_INTERRUPTED = 0x21,
	NVME_SC_TRANSIENT_TRANSPORT_ERROR = 0x22,
	NVME_SC_LBA_OUT_OF_RANGE = 0x80,
	NVME_SC_CAPACITY_EXCEEDED = 0x81,
	NVME_SC_NAMESPACE_NOT_READY = 0x82,
	NVME_SC_RESERVATION_CONFLICT = 0x83,
	NVME_SC_FORMAT_IN_PROGRESS = 0x84,
};

/* Command specific status (Figures 96 and 97, fabrics included). */
enum nvme_sc_command {
	NVME_SC_CQ_INVALID = 0x00,
	NVME_SC_QID_INVALID = 0x01,
	NVME_SC_QUEUE_SIZE_INVALID = 0x02,
	NVME_SC_ABORT_LIMIT = 0x03,
	NVME_SC_AER_LIMIT = 0x05,
	NVME_SC_INVALID_LOG_PAGE = 0x09,
	NVME_SC_FEATURE_NOT_SAVEABLE = 0x0d,
	NVME_SC_FEATURE_NOT_CHANGEABLE = 0x0e,
	NVME_SC_FEATURE_NOT_NAMESPACE = 0x0f,
	NVME_SC_CONNECT_FORMAT = 0x80,
	NVME_SC_CONNECT_BUSY = 0x81,
	NVME_SC_CONNECT_INVALID_PARAMETERS = 0x82,
	NVME_SC_CONNECT_RESTART_DISCOVERY = 0x83,
	NVME_SC_CONNECT_INVALID_HOST = 0x84,
	NVME_SC_DISCOVERY_RESTART = 0x90,
	NVME_SC_AUTH_REQUIRED = 0x91,
	NVME_SC_CONFLICTING_ATTRIBUTES = 0x80,
	NVME_SC_INVALID_PROTECTION_INFO = 0x81,
	NVME_SC_WRITE_TO_READ_ONLY = 0x82,
	NVME_SC_COMMAND_SIZE_LIMIT = 0x83,
};

/* Media and data integrity errors (Figure 98). */
enum nvme_sc_media {
	NVME_SC_WRITE_FAULT = 0x80,
	NVME_SC_UNRECOVERED_READ = 0x81,
	NVME_SC_GUARD_CHECK = 0x82,
	NVME_SC_APP_TAG_CHECK = 0x83,
	NVME_SC_REF_TAG_CHECK = 0x84,
	NVME_SC_COMPARE_FAILURE = 0x85,
	NVME_SC_ACCESS_DENIED = 0x86,
	NVME_SC_DEALLOCATED_BLOCK = 0x87,
};

/* Path related status (Figure 99). */
enum nvme_sc_path {
	NVME_SC_PATH_INTERNAL = 0x00,
	NVME_SC_ANA_PERSISTENT_LOSS = 0x01,
	NVME_SC_ANA_INACCESSIBLE = 0x02,
	NVME_SC_ANA_TRANSITION = 0x03,
	NVME_SC_HOST_PATH_ERROR = 0x70,
	NVME_SC_HOST_ABORTED = 0x71,
};

/* --- opcodes --------------------------------------------------------------------------------- */

enum nvme_admin_opc {
	NVME_ADMIN_DELETE_SQ = 0x00,
	NVME_ADMIN_CREATE_SQ = 0x01,
	NVME_ADMIN_GET_LOG_PAGE = 0x02,
	NVME_ADMIN_DELETE_CQ = 0x04,
	NVME_ADMIN_CREATE_CQ = 0x05,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_GET_FEATURES = 0x0a,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_NS_MANAGEMENT = 0x0d,
	NVME_ADMIN_KEEP_ALIVE = 0x18,
	NVME_ADMIN_FORMAT = 0x80,
};

enum nvme_io_opc {
	NVME_IO_FLUSH = 0x00,
	NVME_IO_WRITE = 0x01,
	NVME_IO_READ = 0x02,
	NVME_IO_WRITE_UNCORRECTABLE = 0x04,
	NVME_IO_COMPARE = 0x05,
	NVME_IO_WRITE_ZEROES = 0x08,
	NVME_IO_DSM = 0x09,
	NVME_IO_VERIFY = 0x0c,
	NVME_IO_RESERVATION_REGISTER = 0x0d,
	NVME_IO_RESERVATION_REPORT = 0x0e,
	NVME_IO_RESERVATION_ACQUIRE = 0x11,
	NVME_IO_RESERVATION_RELEASE = 0x15,
	NVME_IO_COPY = 0x19,
};

#define NVME_OPC_FABRICS 0x7fu

enum nvme_fabrics_type {
	NVME_FCTYPE_PROPERTY_SET = 0x00,
	NVME_FCTYPE_CONNECT = 0x01,
	NVME_FCTYPE_PROPERTY_GET = 0x04,
	NVME_FCTYPE_AUTH_SEND = 0x05,
	NVME_FCTYPE_AUTH_RECV = 0x06,
	NVME_FCTYPE_DISCONNECT = 0x08,
};

/* Bits of cdw12 of read and write, in bits 31:16 of the double word. */
#define NVME_IO_FUA_BIT (UINT32_C(1) << 30)
#define NVME_IO_LR_BIT	(UINT32_C(1) << 31)
/* Write zeroes: deallocate. */
#define NVME_IO_DEAC_BIT (UINT32_C(1) << 25)

/* --- fabrics commands (Base 2.0, 6) ------------------------------------------------------------
 */

#define NVME_CONNECT_ATTR_PRIORITY_MASK	  0x03u
#define NVME_CONNECT_ATTR_DISABLE_SQ_FLOW 0x04u
#define NVME_CONNECT_ATTR_QUEUE_DELETION  0x08u

struct nvme_connect_cmd {
	uint8_t opc;
	uint8_t flags;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved1[19];
	struct nvme_sgl sgl;
	uint16_t recfmt;
	uint16_t qid;
	uint16_t sqsize; /* 0's based */
	uint8_t cattr;
	uint8_t reserved2;
	uint32_t kato; /* milliseconds */
	uint8_t reserved3[12];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_connect_cmd) == 64, "Connect command");
_Static_assert(offsetof(struct nvme_connect_cmd, recfmt) == 40, "Connect command");

struct nvme_connect_data {
	uint8_t hostid[16];
	uint16_t cntlid;
	uint8_t reserved1[238];
	char subnqn[NVME_NQN_FIELD];
	char hostnqn[NVME_NQN_FIELD];
	uint8_t reserved2[256];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_connect_data) == 1024, "Connect data");
_Static_assert(offsetof(struct nvme_connect_data, subnqn) == 256, "Connect data");
_Static_assert(offsetof(struct nvme_connect_data, hostnqn) == 512, "Connect data");

/* Connect Invalid Parameters: where (completion dw0): offset in bits 15:0, bit 16 set: in the data.
 */
#define NVME_CONNECT_INVALID_IN_DATA (UINT32_C(1) << 16)
/* Connect response dw0: cntlid in bits 15:0; the host must authenticate first. */
#define NVME_CONNECT_AUTHENTICATE (UINT32_C(1) << 17)

/* Authentication Send and Receive (Base 2.0, 6.1 and 6.2). */
struct nvme_auth_cmd {
	uint8_t opc;
	uint8_t flags;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved1[19];
	struct nvme_sgl sgl;
	uint8_t reserved2;
	uint8_t spsp0;
	uint8_t spsp1;
	uint8_t secp;
	uint32_t len; /* of the data */
	uint8_t reserved3[16];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_cmd) == 64, "Authentication command");
_Static_assert(offsetof(struct nvme_auth_cmd, len) == 44, "Authentication command");

struct nvme_property_cmd {
	uint8_t opc;
	uint8_t flags;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved1[35];
	uint8_t attrib; /* bits 2:0: 0 four bytes, 1 eight bytes */
	uint8_t reserved2[3];
	uint32_t offset;
	uint64_t value; /* Property Set */
	uint8_t reserved3[8];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_property_cmd) == 64, "Property command");
_Static_assert(offsetof(struct nvme_property_cmd, offset) == 44, "Property command");

/* --- controller properties (Base 2.0, 3.1.3) ---------------------------------------------------
 */

#define NVME_REG_CAP   0x00u
#define NVME_REG_VS    0x08u
#define NVME_REG_INTMS 0x0cu
#define NVME_REG_INTMC 0x10u
#define NVME_REG_CC    0x14u
#define NVME_REG_CSTS  0x1cu
#define NVME_REG_NSSR  0x20u
#define NVME_REG_AQA   0x24u
#define NVME_REG_ASQ   0x28u
#define NVME_REG_ACQ   0x30u
#define NVME_REG_CRTO  0x68u

#define NVME_CAP_MQES(cap)   ((uint16_t)((cap)&0xffff))
#define NVME_CAP_CQR	     (UINT64_C(1) << 16)
#define NVME_CAP_TO_SHIFT    24
#define NVME_CAP_DSTRD_SHIFT 32
#define NVME_CAP_NSSRS	     (UINT64_C(1) << 36)
#define NVME_CAP_CSS_NVM     (UINT64_C(1) << 37)

#define NVME_CC_EN	    (UINT32_C(1) << 0)
#define NVME_CC_CSS(cc)	    ((cc) >> 4 & 7)
#define NVME_CC_MPS(cc)	    ((cc) >> 7 & 15)
#define NVME_CC_AMS(cc)	    ((cc) >> 11 & 7)
#define NVME_CC_SHN(cc)	    ((cc) >> 14 & 3)
#define NVME_CC_IOSQES(cc)  ((cc) >> 16 & 15)
#define NVME_CC_IOCQES(cc)  ((cc) >> 20 & 15)
#define NVME_CSTS_RDY	    (UINT32_C(1) << 0)
#define NVME_CSTS_CFS	    (UINT32_C(1) << 1)
#define NVME_CSTS_SHST_MASK (UINT32_C(3) << 2)
#define NVME_CSTS_SHST_DONE (UINT32_C(2) << 2)

#define NVME_VERSION(major, minor, tertiary)                                                       \
	((uint32_t)(major) << 16 | (uint32_t)(minor) << 8 | (uint32_t)(tertiary))

/* --- identify (Base 2.0, 5.17; NVM Command Set 1.0, 4.1.5) --------------------------------------
 */

#define NVME_IDENTIFY_BYTES 4096u

enum nvme_cns {
	NVME_CNS_NS = 0x00,
	NVME_CNS_CTRLR = 0x01,
	NVME_CNS_ACTIVE_NS_LIST = 0x02,
	NVME_CNS_NS_DESCRIPTORS = 0x03,
	NVME_CNS_NVM_SET_LIST = 0x04,
	NVME_CNS_CSI_NS = 0x05,
	NVME_CNS_CSI_CTRLR = 0x06,
	NVME_CNS_CSI_ACTIVE_NS_LIST = 0x07,
	NVME_CNS_CSI_INDEPENDENT_NS = 0x08,
	NVME_CNS_ALLOCATED_NS_LIST = 0x10,
	NVME_CNS_ALLOCATED_NS = 0x11,
	NVME_CNS_NS_CTRLR_LIST = 0x12,
	NVME_CNS_CTRLR_LIST = 0x13,
	NVME_CNS_COMMAND_SETS = 0x1c,
};

#define NVME_CSI_NVM 0x00u

struct nvme_power_state {
	uint16_t mp;
	uint8_t reserved[30];
} __attribute__((packed));

struct nvme_id_ctrlr {
	uint16_t vid;
	uint16_t ssvid;
	char sn[20];
	char mn[40];
	char fr[8];
	uint8_t rab;
	uint8_t ieee[3];
	uint8_t cmic;
	uint8_t mdts;
	uint16_t cntlid;
	uint32_t ver;
	uint32_t rtd3r;
	uint32_t rtd3e;
	uint32_t oaes;
	uint32_t ctratt;
	uint16_t rrls;
	uint8_t reserved102[9];
	uint8_t cntrltype;
	uint8_t fguid[16];
	uint16_t crdt1;
	uint16_t crdt2;
	uint16_t crdt3;
	uint8_t reserved134[106];
	uint8_t reserved240[13];
	uint8_t nvmsr;
	uint8_t vwci;
	uint8_t mec;
	uint16_t oacs;
	uint8_t acl;
	uint8_t aerl;
	uint8_t frmw;
	uint8_t lpa;
	uint8_t elpe;
	uint8_t npss;
	uint8_t avscc;
	uint8_t apsta;
	uint16_t wctemp;
	uint16_t cctemp;
	uint16_t mtfa;
	uint32_t hmpre;
	uint32_t hmmin;
	uint8_t tnvmcap[16];
	uint8_t unvmcap[16];
	uint32_t rpmbs;
	uint16_t edstt;
	uint8_t dsto;
	uint8_t fwug;
	uint16_t kas; /* 100 ms units */
	uint16_t hctma;
	uint16_t mntmt;
	uint16_t mxtmt;
	uint32_t sanicap;
	uint32_t hmminds;
	uint16_t hmmaxd;
	uint16_t nsetidmax;
	uint16_t endgidmax;
	uint8_t anatt;
	uint8_t anacap;
	uint32_t anagrpmax;
	uint32_t nanagrpid;
	uint32_t pels;
	uint16_t domain_id;
	uint8_t reserved358[10];
	uint8_t megcap[16];
	uint8_t reserved384[128];
	uint8_t sqes;
	uint8_t cqes;
	uint16_t maxcmd;
	uint32_t nn;
	uint16_t oncs;
	uint16_t fuses;
	uint8_t fna;
	uint8_t vwc;
	uint16_t awun;
	uint16_t awupf;
	uint8_t icsvscc;
	uint8_t nwpc;
	uint16_t acwu;
	uint16_t cdfs;
	uint32_t sgls;
	uint32_t mnan;
	uint8_t maxdna[16];
	uint32_t maxcna;
	uint8_t reserved564[204];
	char subnqn[256];
	uint8_t reserved1024[768];
	uint32_t ioccsz; /* 16-byte units */
	uint32_t iorcsz; /* 16-byte units */
	uint16_t icdoff;
	uint8_t fcatt;
	uint8_t msdbd;
	uint16_t ofcs;
	uint8_t reserved1806[242];
	struct nvme_power_state psd[32];
	uint8_t vendor[1024];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_id_ctrlr) == 4096, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, cntlid) == 78, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, cntrltype) == 111, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, oacs) == 256, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, kas) == 320, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, anatt) == 342, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, sqes) == 512, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, sgls) == 536, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, subnqn) == 768, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, ioccsz) == 1792, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrlr, psd) == 2048, "Identify Controller");

#define NVME_ONCS_COMPARE	 (1u << 0)
#define NVME_ONCS_WRITE_UNCOR	 (1u << 1)
#define NVME_ONCS_DSM		 (1u << 2)
#define NVME_ONCS_WRITE_ZEROES	 (1u << 3)
#define NVME_ONCS_SAVE		 (1u << 4)
#define NVME_ONCS_RESERVATIONS	 (1u << 5)
#define NVME_ONCS_VERIFY	 (1u << 7)
#define NVME_ONCS_COPY		 (1u << 8)
#define NVME_FUSES_COMPARE_WRITE (1u << 0)
#define NVME_CTRATT_HOSTID_128	 (UINT32_C(1) << 0)
#define NVME_CTRATT_TBKAS	 (UINT32_C(1) << 6)
#define NVME_OAES_NS_ATTR	 (UINT32_C(1) << 8)
#define NVME_OAES_ANA		 (UINT32_C(1) << 11)
#define NVME_OAES_DISCOVERY	 (UINT32_C(1) << 31)
#define NVME_SGLS_SUPPORTED	 (UINT32_C(1) << 0)
#define NVME_SGLS_KEYED		 (UINT32_C(1) << 2)
#define NVME_SGLS_OFFSET	 (UINT32_C(1) << 20)
#define NVME_SGLS_TRANSPORT	 (UINT32_C(1) << 21)
#define NVME_CNTRLTYPE_IO	 1u
#define NVME_CNTRLTYPE_DISCOVERY 2u

struct nvme_lbaf {
	uint16_t ms;
	uint8_t lbads;
	uint8_t rp;
} __attribute__((packed));

struct nvme_id_ns {
	uint64_t nsze;
	uint64_t ncap;
	uint64_t nuse;
	uint8_t nsfeat;
	uint8_t nlbaf; /* 0's based */
	uint8_t flbas;
	uint8_t mc;
	uint8_t dpc;
	uint8_t dps;
	uint8_t nmic;
	uint8_t rescap;
	uint8_t fpi;
	uint8_t dlfeat;
	uint16_t nawun;
	uint16_t nawupf;
	uint16_t nacwu;
	uint16_t nabsn;
	uint16_t nabo;
	uint16_t nabspf;
	uint16_t noiob;
	uint8_t nvmcap[16];
	uint16_t npwg;
	uint16_t npwa;
	uint16_t npdg;
	uint16_t npda;
	uint16_t nows;
	uint16_t mssrl;
	uint32_t mcl;
	uint8_t msrc;
	uint8_t reserved81[11];
	uint32_t anagrpid;
	uint8_t reserved96[3];
	uint8_t nsattr;
	uint16_t nvmsetid;
	uint16_t endgid;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct nvme_lbaf lbaf[64];
	uint8_t vendor[3712];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_id_ns) == 4096, "Identify Namespace");
_Static_assert(offsetof(struct nvme_id_ns, nguid) == 104, "Identify Namespace");
_Static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "Identify Namespace");

/* I/O command set specific Identify Controller, NVM (NVM Command Set 1.0, 4.1.5.2). */
struct nvme_id_ctrlr_nvm {
	uint8_t vsl;
	uint8_t wzsl;
	uint8_t wusl;
	uint8_t dmrl;
	uint32_t dmrsl;
	uint64_t dmsl;
	uint8_t reserved[4080];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_id_ctrlr_nvm) == 4096, "Identify Controller, NVM");

/* Namespace identification descriptor (CNS 03h). */
#define NVME_NIDT_EUI64 1u
#define NVME_NIDT_NGUID 2u
#define NVME_NIDT_UUID	3u
#define NVME_NIDT_CSI	4u

struct nvme_ns_id_desc {
	uint8_t nidt;
	uint8_t nidl;
	uint8_t reserved[2];
	uint8_t nid[];
} __attribute__((packed));

/* --- log pages (Base 2.0, 5.16) ------------------------------------------------------------------
 */

enum nvme_log_page {
	NVME_LOG_SUPPORTED_PAGES = 0x00,
	NVME_LOG_ERROR = 0x01,
	NVME_LOG_HEALTH = 0x02,
	NVME_LOG_FIRMWARE = 0x03,
	NVME_LOG_CHANGED_NS = 0x04,
	NVME_LOG_EFFECTS = 0x05,
	NVME_LOG_ANA = 0x0c,
	NVME_LOG_FEATURE_EFFECTS = 0x12,
	NVME_LOG_DISCOVERY = 0x70,
	NVME_LOG_RESERVATION = 0x80,
};

struct nvme_error_entry {
	uint64_t error_count;
	uint16_t sqid;
	uint16_t cid;
	uint16_t status;
	uint16_t error_location;
	uint64_t lba;
	uint32_t nsid;
	uint8_t vendor;
	uint8_t trtype;
	uint8_t reserved30[2];
	uint64_t command_specific;
	uint16_t trtype_specific;
	uint8_t reserved42[22];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_error_entry) == 64, "Error Information entry");

struct nvme_health_log {
	uint8_t critical_warning;
	uint16_t temperature;
	uint8_t available_spare;
	uint8_t spare_threshold;
	uint8_t percentage_used;
	uint8_t reserved6[26];
	uint8_t data_units_read[16];
	uint8_t data_units_written[16];
	uint8_t host_reads[16];
	uint8_t host_writes[16];
	uint8_t busy_minutes[16];
	uint8_t power_cycles[16];
	uint8_t power_on_hours[16];
	uint8_t unsafe_shutdowns[16];
	uint8_t media_errors[16];
	uint8_t error_entries[16];
	uint8_t reserved192[320];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_health_log) == 512, "SMART / Health Information");

struct nvme_effects_log {
	uint32_t admin[256];
	uint32_t io[256];
	uint8_t reserved[2048];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_effects_log) == 4096, "Commands Supported and Effects");

struct nvme_discovery_log_entry {
	uint8_t trtype;
	uint8_t adrfam;
	uint8_t subtype;
	uint8_t treq;
	uint16_t portid;
	uint16_t cntlid;
	uint16_t asqsz;
	uint16_t eflags;
	uint8_t reserved12[20];
	char trsvcid[32];
	uint8_t reserved64[192];
	char subnqn[256];
	char traddr[256];
	uint8_t tsas[256];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_discovery_log_entry) == 1024, "Discovery log entry");

struct nvme_discovery_log {
	uint64_t genctr;
	uint64_t numrec;
	uint16_t recfmt;
	uint8_t reserved18[1006];
	struct nvme_discovery_log_entry entries[];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_discovery_log) == 1024, "Discovery log header");

#define NVME_TRTYPE_RDMA	   1u
#define NVME_TRTYPE_FC		   2u
#define NVME_TRTYPE_TCP		   3u
#define NVME_ADRFAM_IPV4	   1u
#define NVME_ADRFAM_IPV6	   2u
#define NVME_SUBTYPE_REFERRAL	   1u
#define NVME_SUBTYPE_NVM	   2u
#define NVME_SUBTYPE_DISCOVERY_CUR 3u
#define NVME_TREQ_NOT_SPECIFIED	   0u
#define NVME_TREQ_REQUIRED	   1u
#define NVME_TREQ_NOT_REQUIRED	   2u
#define NVME_TREQ_SQ_FLOW_OFF	   4u
/* Transport specific address subtype of TCP: the security type (NVMe/TCP 1.0, 3.5) */
#define NVME_TCP_SECURITY_NONE	  0u
#define NVME_TCP_SECURITY_TLS_1_3 2u

/* --- features and asynchronous events (Base 2.0, 5.27, 5.2)
 * --------------------------------------- */

enum nvme_feature {
	NVME_FEAT_ARBITRATION = 0x01,
	NVME_FEAT_POWER = 0x02,
	NVME_FEAT_TEMPERATURE = 0x04,
	NVME_FEAT_ERROR_RECOVERY = 0x05,
	NVME_FEAT_WRITE_CACHE = 0x06,
	NVME_FEAT_QUEUES = 0x07,
	NVME_FEAT_INTERRUPT_COALESCING = 0x08,
	NVME_FEAT_INTERRUPT_VECTOR = 0x09,
	NVME_FEAT_WRITE_ATOMICITY = 0x0a,
	NVME_FEAT_ASYNC_EVENTS = 0x0b,
	NVME_FEAT_KEEP_ALIVE = 0x0f,
	NVME_FEAT_HOST_BEHAVIOR = 0x16,
	NVME_FEAT_HOST_ID = 0x81,
	NVME_FEAT_RESERVATION_MASK = 0x82,
	NVME_FEAT_RESERVATION_PERSIST = 0x83,
};

#define NVME_AEN_TYPE_ERROR	 0u
#define NVME_AEN_TYPE_SMART	 1u
#define NVME_AEN_TYPE_NOTICE	 2u
#define NVME_AEN_TYPE_IO	 6u
#define NVME_AEN_INFO_NS_CHANGED 0x00u
#define NVME_AEN_INFO_ANA_CHANGE 0x03u
#define NVME_AEN_INFO_DISCOVERY	 0xf0u
#define NVME_AEN_RESULT(type, info, page)                                                          \
	((uint32_t)(type) | (uint32_t)(info) << 8 | (uint32_t)(page) << 16)

/* Dataset management range (NVM Command Set 1.0, 3.2.3). */
#define NVME_DSM_RANGES_MAX 256u
#define NVME_DSM_DEALLOCATE (UINT32_C(1) << 2)

struct nvme_dsm_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t lba;
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_dsm_range) == 16, "dataset management range");

#endif
