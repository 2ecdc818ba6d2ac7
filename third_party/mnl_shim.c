// The part of libmnl's interface that libnftnl and pkg/network use, over linux/netlink.h. Debian
// has no static libmnl, and a fully static program needs one. Prototypes: <libmnl/libmnl.h>.
//
// No state beyond the structs below; calls on different messages, batches and sockets may run on
// different threads.

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

// ---- Messages

size_t mnl_nlmsg_size(size_t len) { return MNL_NLMSG_HDRLEN + len; }

size_t mnl_nlmsg_get_payload_len(const struct nlmsghdr* message) {
  return message->nlmsg_len - MNL_NLMSG_HDRLEN;
}

struct nlmsghdr* mnl_nlmsg_put_header(void* buffer) {
  struct nlmsghdr* message = buffer;
  memset(message, 0, MNL_NLMSG_HDRLEN);
  message->nlmsg_len = MNL_NLMSG_HDRLEN;
  return message;
}

void* mnl_nlmsg_get_payload(const struct nlmsghdr* message) {
  return (char*)message + MNL_NLMSG_HDRLEN;
}

void* mnl_nlmsg_get_payload_offset(const struct nlmsghdr* message, size_t offset) {
  return (char*)message + MNL_NLMSG_HDRLEN + MNL_ALIGN(offset);
}

void* mnl_nlmsg_get_payload_tail(const struct nlmsghdr* message) {
  return (char*)message + MNL_ALIGN(message->nlmsg_len);
}

void* mnl_nlmsg_put_extra_header(struct nlmsghdr* message, size_t size) {
  void* header = mnl_nlmsg_get_payload_tail(message);
  memset(header, 0, MNL_ALIGN(size));
  message->nlmsg_len = MNL_ALIGN(message->nlmsg_len) + MNL_ALIGN(size);
  return header;
}

bool mnl_nlmsg_ok(const struct nlmsghdr* message, int len) {
  return len >= (int)sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
         message->nlmsg_len <= (unsigned)len;
}

struct nlmsghdr* mnl_nlmsg_next(const struct nlmsghdr* message, int* len) {
  *len -= (int)MNL_ALIGN(message->nlmsg_len);
  return mnl_nlmsg_get_payload_tail(message);
}

bool mnl_nlmsg_seq_ok(const struct nlmsghdr* message, unsigned int sequence) {
  return message->nlmsg_seq == 0 || sequence == 0 || message->nlmsg_seq == sequence;
}

bool mnl_nlmsg_portid_ok(const struct nlmsghdr* message, unsigned int port) {
  return message->nlmsg_pid == 0 || port == 0 || message->nlmsg_pid == port;
}

// ---- Batches: messages one after the other in the caller's buffer

struct mnl_nlmsg_batch {
  char* start;
  size_t limit;  // The caller's buffer is larger: one message may reach past the limit.
  size_t used;
  bool overflow;  // The message at `used` does not fit any more.
};

struct mnl_nlmsg_batch* mnl_nlmsg_batch_start(void* buffer, size_t limit) {
  struct mnl_nlmsg_batch* batch = calloc(1, sizeof(*batch));
  if (batch == NULL) return NULL;
  batch->start = buffer;
  batch->limit = limit;
  return batch;
}

void mnl_nlmsg_batch_stop(struct mnl_nlmsg_batch* batch) { free(batch); }

void* mnl_nlmsg_batch_head(struct mnl_nlmsg_batch* batch) { return batch->start; }

void* mnl_nlmsg_batch_current(struct mnl_nlmsg_batch* batch) { return batch->start + batch->used; }

size_t mnl_nlmsg_batch_size(struct mnl_nlmsg_batch* batch) { return batch->used; }

bool mnl_nlmsg_batch_is_empty(struct mnl_nlmsg_batch* batch) { return batch->used == 0; }

bool mnl_nlmsg_batch_next(struct mnl_nlmsg_batch* batch) {
  const struct nlmsghdr* last = mnl_nlmsg_batch_current(batch);
  if (batch->used + last->nlmsg_len > batch->limit) {
    batch->overflow = true;
    return false;
  }
  batch->used += last->nlmsg_len;
  return true;
}

void mnl_nlmsg_batch_reset(struct mnl_nlmsg_batch* batch) {
  size_t kept = 0;
  if (batch->overflow) {
    const struct nlmsghdr* last = mnl_nlmsg_batch_current(batch);
    kept = last->nlmsg_len;
    memmove(batch->start, last, kept);
  }
  batch->used = kept;
  batch->overflow = false;
}

// ---- Attributes: reading

uint16_t mnl_attr_get_type(const struct nlattr* attr) { return attr->nla_type & NLA_TYPE_MASK; }

uint16_t mnl_attr_get_len(const struct nlattr* attr) { return attr->nla_len; }

uint16_t mnl_attr_get_payload_len(const struct nlattr* attr) {
  return (uint16_t)(attr->nla_len - MNL_ATTR_HDRLEN);
}

void* mnl_attr_get_payload(const struct nlattr* attr) { return (char*)attr + MNL_ATTR_HDRLEN; }

uint8_t mnl_attr_get_u8(const struct nlattr* attr) {
  return *(const uint8_t*)mnl_attr_get_payload(attr);
}

uint16_t mnl_attr_get_u16(const struct nlattr* attr) {
  uint16_t value;
  memcpy(&value, mnl_attr_get_payload(attr), sizeof(value));
  return value;
}

uint32_t mnl_attr_get_u32(const struct nlattr* attr) {
  uint32_t value;
  memcpy(&value, mnl_attr_get_payload(attr), sizeof(value));
  return value;
}

uint64_t mnl_attr_get_u64(const struct nlattr* attr) {
  uint64_t value;  // An attribute is only aligned to four bytes.
  memcpy(&value, mnl_attr_get_payload(attr), sizeof(value));
  return value;
}

const char* mnl_attr_get_str(const struct nlattr* attr) { return mnl_attr_get_payload(attr); }

bool mnl_attr_ok(const struct nlattr* attr, int len) {
  return len >= (int)sizeof(*attr) && attr->nla_len >= sizeof(*attr) && attr->nla_len <= len;
}

struct nlattr* mnl_attr_next(const struct nlattr* attr) {
  return (struct nlattr*)((char*)attr + MNL_ALIGN(attr->nla_len));
}

int mnl_attr_type_valid(const struct nlattr* attr, uint16_t type_max) {
  if (mnl_attr_get_type(attr) > type_max) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return 1;
}

static int wrong_size(void) {
  errno = ERANGE;
  return -1;
}

// Bytes a type must have exactly; 0 where any length may be right.
static size_t exact_size(enum mnl_attr_data_type type) {
  switch (type) {
    case MNL_TYPE_U8: return sizeof(uint8_t);
    case MNL_TYPE_U16: return sizeof(uint16_t);
    case MNL_TYPE_U32: return sizeof(uint32_t);
    case MNL_TYPE_U64:
    case MNL_TYPE_MSECS: return sizeof(uint64_t);
    default: return 0;
  }
}

int mnl_attr_validate(const struct nlattr* attr, enum mnl_attr_data_type type) {
  size_t len = mnl_attr_get_payload_len(attr);
  const char* bytes = mnl_attr_get_payload(attr);
  if ((unsigned)type >= MNL_TYPE_MAX) {
    errno = EINVAL;
    return -1;
  }
  size_t exact = exact_size(type);
  if (exact != 0) return len == exact ? 0 : wrong_size();
  switch (type) {
    case MNL_TYPE_FLAG: return len == 0 ? 0 : wrong_size();
    case MNL_TYPE_STRING: return len > 0 ? 0 : wrong_size();
    case MNL_TYPE_NUL_STRING:
      if (len == 0) return wrong_size();
      if (bytes[len - 1] == '\0') return 0;
      errno = EINVAL;
      return -1;
    case MNL_TYPE_NESTED:
      // An empty nest is fine; else it holds at least one whole header.
      return len == 0 || len >= MNL_ATTR_HDRLEN ? 0 : wrong_size();
    default: return 0;
  }
}

int mnl_attr_validate2(const struct nlattr* attr, enum mnl_attr_data_type type, size_t len) {
  if ((unsigned)type >= MNL_TYPE_MAX) {
    errno = EINVAL;
    return -1;
  }
  if (mnl_attr_get_payload_len(attr) < len) return wrong_size();
  return 0;
}

int mnl_attr_parse_payload(const void* payload, size_t len, mnl_attr_cb_t each, void* data) {
  const struct nlattr* attr = payload;
  const char* end = (const char*)payload + len;
  int verdict = MNL_CB_OK;
  for (; mnl_attr_ok(attr, (int)(end - (const char*)attr)); attr = mnl_attr_next(attr)) {
    verdict = each(attr, data);
    if (verdict <= MNL_CB_STOP) return verdict;
  }
  return verdict;
}

int mnl_attr_parse(const struct nlmsghdr* message, unsigned int offset, mnl_attr_cb_t each,
                   void* data) {
  const char* first = mnl_nlmsg_get_payload_offset(message, offset);
  const char* end = mnl_nlmsg_get_payload_tail(message);
  return mnl_attr_parse_payload(first, end > first ? (size_t)(end - first) : 0, each, data);
}

int mnl_attr_parse_nested(const struct nlattr* nest, mnl_attr_cb_t each, void* data) {
  return mnl_attr_parse_payload(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), each,
                                data);
}

// ---- Attributes: writing

void mnl_attr_put(struct nlmsghdr* message, uint16_t type, size_t len, const void* bytes) {
  struct nlattr* attr = mnl_nlmsg_get_payload_tail(message);
  size_t padding = MNL_ALIGN(len) - len;
  attr->nla_type = type;
  attr->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + len);
  if (len > 0) memcpy(mnl_attr_get_payload(attr), bytes, len);
  if (padding > 0) memset((char*)mnl_attr_get_payload(attr) + len, 0, padding);
  message->nlmsg_len = MNL_ALIGN(message->nlmsg_len) + MNL_ALIGN(attr->nla_len);
}

void mnl_attr_put_u8(struct nlmsghdr* message, uint16_t type, uint8_t value) {
  mnl_attr_put(message, type, sizeof(value), &value);
}

void mnl_attr_put_u16(struct nlmsghdr* message, uint16_t type, uint16_t value) {
  mnl_attr_put(message, type, sizeof(value), &value);
}

void mnl_attr_put_u32(struct nlmsghdr* message, uint16_t type, uint32_t value) {
  mnl_attr_put(message, type, sizeof(value), &value);
}

void mnl_attr_put_u64(struct nlmsghdr* message, uint16_t type, uint64_t value) {
  mnl_attr_put(message, type, sizeof(value), &value);
}

void mnl_attr_put_str(struct nlmsghdr* message, uint16_t type, const char* text) {
  mnl_attr_put(message, type, strlen(text), text);
}

void mnl_attr_put_strz(struct nlmsghdr* message, uint16_t type, const char* text) {
  mnl_attr_put(message, type, strlen(text) + 1, text);
}

struct nlattr* mnl_attr_nest_start(struct nlmsghdr* message, uint16_t type) {
  struct nlattr* nest = mnl_nlmsg_get_payload_tail(message);
  nest->nla_type = NLA_F_NESTED | type;
  message->nlmsg_len = MNL_ALIGN(message->nlmsg_len) + MNL_ATTR_HDRLEN;
  return nest;
}

void mnl_attr_nest_end(struct nlmsghdr* message, struct nlattr* nest) {
  nest->nla_len = (uint16_t)((char*)mnl_nlmsg_get_payload_tail(message) - (char*)nest);
}

void mnl_attr_nest_cancel(struct nlmsghdr* message, struct nlattr* nest) {
  message->nlmsg_len = (uint32_t)((char*)nest - (char*)message);
}

// ---- Answers

static int control_message(const struct nlmsghdr* message) {
  if (message->nlmsg_type == NLMSG_DONE) return MNL_CB_STOP;
  if (message->nlmsg_type != NLMSG_ERROR) return MNL_CB_OK;
  const struct nlmsgerr* error = mnl_nlmsg_get_payload(message);
  if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*error))) {
    errno = EBADMSG;
    return MNL_CB_ERROR;
  }
  errno = error->error < 0 ? -error->error : error->error;
  return error->error == 0 ? MNL_CB_STOP : MNL_CB_ERROR;
}

int mnl_cb_run2(const void* buffer, size_t size, unsigned int sequence, unsigned int port,
                mnl_cb_t each, void* data, mnl_cb_t* control, unsigned int control_count) {
  const struct nlmsghdr* message = buffer;
  int left = (int)size;
  int verdict = MNL_CB_OK;
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (!mnl_nlmsg_portid_ok(message, port)) {
      errno = ESRCH;
      return MNL_CB_ERROR;
    }
    if (!mnl_nlmsg_seq_ok(message, sequence)) {
      errno = EPROTO;
      return MNL_CB_ERROR;
    }
    if (message->nlmsg_flags & NLM_F_DUMP_INTR) {
      errno = EINTR;  // The table changed during the dump; the caller starts again.
      return MNL_CB_ERROR;
    }
    unsigned int type = message->nlmsg_type;
    if (type >= NLMSG_MIN_TYPE) {
      if (each != NULL) verdict = each(message, data);
    } else if (type < control_count && control[type] != NULL) {
      verdict = control[type](message, data);
    } else {
      verdict = control_message(message);
    }
    if (verdict <= MNL_CB_STOP) return verdict;
  }
  return verdict;
}

int mnl_cb_run(const void* buffer, size_t size, unsigned int sequence, unsigned int port,
               mnl_cb_t each, void* data) {
  return mnl_cb_run2(buffer, size, sequence, port, each, data, NULL, 0);
}

// ---- Sockets

struct mnl_socket {
  int fd;
  struct sockaddr_nl address;
};

struct mnl_socket* mnl_socket_open2(int bus, int flags) {
  struct mnl_socket* self = calloc(1, sizeof(*self));
  if (self == NULL) return NULL;
  self->fd = socket(AF_NETLINK, SOCK_RAW | flags, bus);
  if (self->fd < 0) {
    free(self);
    return NULL;
  }
  return self;
}

struct mnl_socket* mnl_socket_open(int bus) { return mnl_socket_open2(bus, SOCK_CLOEXEC); }

int mnl_socket_bind(struct mnl_socket* self, unsigned int groups, pid_t port) {
  socklen_t len = sizeof(self->address);
  self->address = (struct sockaddr_nl){
      .nl_family = AF_NETLINK, .nl_pid = (uint32_t)port, .nl_groups = groups};
  if (bind(self->fd, (struct sockaddr*)&self->address, len) < 0) return -1;
  // The kernel chose the port; answers carry it.
  return getsockname(self->fd, (struct sockaddr*)&self->address, &len);
}

int mnl_socket_close(struct mnl_socket* self) {
  int result = close(self->fd);
  free(self);
  return result;
}

int mnl_socket_get_fd(const struct mnl_socket* self) { return self->fd; }

unsigned int mnl_socket_get_portid(const struct mnl_socket* self) { return self->address.nl_pid; }

ssize_t mnl_socket_sendto(const struct mnl_socket* self, const void* bytes, size_t size) {
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  return sendto(self->fd, bytes, size, 0, (const struct sockaddr*)&kernel, sizeof(kernel));
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket* self, void* buffer, size_t size) {
  struct sockaddr_nl from = {0};
  struct iovec part = {.iov_base = buffer, .iov_len = size};
  struct msghdr header = {
      .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1};
  ssize_t got = recvmsg(self->fd, &header, 0);
  if (got < 0) return got;
  if (header.msg_flags & MSG_TRUNC) {
    errno = ENOSPC;  // The buffer was too small; half a message is of no use.
    return -1;
  }
  if (header.msg_namelen != sizeof(from)) {
    errno = EINVAL;
    return -1;
  }
  return got;
}

int mnl_socket_setsockopt(const struct mnl_socket* self, int type, void* value, socklen_t len) {
  return setsockopt(self->fd, SOL_NETLINK, type, value, len);
}
