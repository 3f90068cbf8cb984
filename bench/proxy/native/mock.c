// The mock backend: an OpenAI-shaped server that answers at once, or streams events at a given pace. `mock PORT MODEL`.
//
// What to do is read from the beginning of each request's body: "stream":true, "max_tokens": how many events, and
// "user":"gap=N" how many microseconds lie between them (0: as fast as they are taken). Each event carries the time at
// which it was written and its number, so that the reader knows how long it took and whether one is missing.
#include "common.h"

#define HEAD_SIZE 16384
#define INTRO_SIZE 2048
#define JSON_SIZE 1024
#define EVENT_SIZE 250
#define BATCH 64  // events per write where nothing throttles them

struct connection {
  int fd;
  char head[HEAD_SIZE];
  size_t head_size;
  char intro[INTRO_SIZE + 1];  // of the body
  size_t intro_size;
  int64_t body_left;
  int is_reading_body;
  int events, next_event;  // of the stream under way
  int64_t gap, due;
  int place;  // in the heap, -1 when not there
  char *rest;  // not taken by the socket yet
  size_t rest_size, rest_room;
};

static int epoll_fd;
static const char *model;
static char json_answer[JSON_SIZE + 256];
static struct connection **heap;
static int heap_size, heap_room;

// --- the heap of streams by when they are due ---

static void put(int place, struct connection *connection) {
  heap[place] = connection;
  connection->place = place;
}

static void sift_up(int place, struct connection *connection) {
  for (int parent; place > 0 && heap[parent = (place - 1) / 2]->due > connection->due; place = parent)
    put(place, heap[parent]);
  put(place, connection);
}

static void sift_down(int place, struct connection *connection) {
  for (int child; (child = 2 * place + 1) < heap_size; place = child) {
    if (child + 1 < heap_size && heap[child + 1]->due < heap[child]->due) child++;
    if (heap[child]->due >= connection->due) break;
    put(place, heap[child]);
  }
  put(place, connection);
}

static void schedule(struct connection *connection) {
  if (heap_size == heap_room) heap = realloc(heap, sizeof *heap * (size_t)(heap_room = heap_room * 2 + 64));
  sift_up(heap_size++, connection);
}

static void unschedule(struct connection *connection) {
  int place = connection->place;
  if (place < 0) return;
  connection->place = -1;
  struct connection *last = heap[--heap_size];
  if (last == connection) return;
  sift_down(place, last);
  sift_up(last->place, last);
}

// --- writing ---

static void drop(struct connection *connection) {
  unschedule(connection);
  close(connection->fd);
  free(connection->rest);
  free(connection);
}

static void keep(struct connection *connection, const char *bytes, size_t size) {
  if (connection->rest_size + size > connection->rest_room) {
    connection->rest_room = 2 * (connection->rest_size + size);
    connection->rest = realloc(connection->rest, connection->rest_room);
  }
  memcpy(connection->rest + connection->rest_size, bytes, size);
  connection->rest_size += size;
}

/** 0 when the connection is lost. What the socket does not take waits. */
static int send_bytes(struct connection *connection, const char *bytes, size_t size) {
  if (connection->rest_size > 0) return keep(connection, bytes, size), 1;
  ssize_t written = write(connection->fd, bytes, size);
  if (written < 0 && errno != EAGAIN) return 0;
  if (written < 0) written = 0;
  if ((size_t)written < size) keep(connection, bytes + written, size - (size_t)written);
  return 1;
}

static int flush(struct connection *connection) {
  if (connection->rest_size == 0) return 1;
  ssize_t written = write(connection->fd, connection->rest, connection->rest_size);
  if (written < 0) return errno == EAGAIN;
  connection->rest_size -= (size_t)written;
  memmove(connection->rest, connection->rest + written, connection->rest_size);
  return 1;
}

/** One event in a chunk of its own; returns its size. */
static size_t format_event(char *to, int number, int64_t now) {
  static const char filler[] = "the quick brown fox jumps over the lazy dog and then takes a very long rest ";
  char event[EVENT_SIZE + 128];
  int size = snprintf(event, sizeof event,
                      "data: {\"t\":%lld,\"i\":%d,\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
                      "\"created\":1700000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%.50s\"},"
                      "\"finish_reason\":null}]}\n\n",
                      (long long)now, number, model, filler);
  return (size_t)sprintf(to, "%x\r\n%.*s\r\n", (unsigned)size, size, event);
}

/** Sends what is due; 0 when the connection is lost. Schedules the stream anew unless it is at its end or has to wait. */
static int advance(struct connection *connection) {
  static char batch[BATCH * (EVENT_SIZE + 256)];
  size_t size = 0;
  int most = connection->gap > 0 ? 1 : BATCH;
  for (; most > 0 && connection->next_event < connection->events; most--)
    size += format_event(batch + size, connection->next_event++, now_ns());
  if (size > 0 && !send_bytes(connection, batch, size)) return 0;
  if (connection->next_event == connection->events) {
    static const char end[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    return send_bytes(connection, end, sizeof end - 1);
  }
  connection->due += connection->gap;
  if (connection->gap > 0 || connection->rest_size == 0) schedule(connection);
  return 1;
}

// --- answering ---

static int answer_small(struct connection *connection, int status, const char *body) {
  char answer[1024];
  int size = snprintf(answer, sizeof answer,
                      "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", status,
                      status == 200 ? "OK" : "Not Found", strlen(body), body);
  return send_bytes(connection, answer, (size_t)size);
}

static int64_t number_after(const char *text, const char *key, int64_t otherwise) {
  const char *at = strstr(text, key);
  return at == NULL ? otherwise : strtoll(at + strlen(key), NULL, 10);
}

static int answer_stream(struct connection *connection) {
  static const char head[] =
      "HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
      "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
  connection->events = (int)number_after(connection->intro, "\"max_tokens\":", 16);
  connection->gap = 1000 * number_after(connection->intro, "\"user\":\"gap=", 0);
  connection->next_event = 0;
  connection->due = now_ns();
  return send_bytes(connection, head, sizeof head - 1) && advance(connection);
}

static int answer(struct connection *connection) {
  char small[256];
  connection->intro[connection->intro_size] = 0;
  if (strncmp(connection->head, "POST /v1/", 9) == 0) {
    if (strstr(connection->intro, "\"stream\":true") != NULL) return answer_stream(connection);
    return send_bytes(connection, json_answer, strlen(json_answer));
  }
  if (strncmp(connection->head, "GET /health ", 12) == 0) {
    snprintf(small, sizeof small, "{\"pid\":%d}", (int)getpid());
    return answer_small(connection, 200, small);
  }
  if (strncmp(connection->head, "GET /v1/models ", 15) == 0) {
    snprintf(small, sizeof small, "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"model\"}]}", model);
    return answer_small(connection, 200, small);
  }
  return answer_small(connection, 404, "{\"error\":{\"message\":\"not here\"}}");
}

// --- reading ---

/** Takes a piece of the body; 0 when the connection cannot go on. */
static int take_body(struct connection *connection, const char *bytes, size_t size) {
  if ((int64_t)size > connection->body_left) return 0;  // nobody pipelines here
  size_t room = INTRO_SIZE - connection->intro_size, part = size < room ? size : room;
  memcpy(connection->intro + connection->intro_size, bytes, part);
  connection->intro_size += part;
  connection->body_left -= (int64_t)size;
  if (connection->body_left > 0) return 1;
  connection->is_reading_body = 0;
  connection->head_size = 0;
  return answer(connection);
}

static int take_head(struct connection *connection, const char *bytes, size_t size) {
  size_t room = HEAD_SIZE - 1 - connection->head_size, part = size < room ? size : room;
  memcpy(connection->head + connection->head_size, bytes, part);
  connection->head[connection->head_size + part] = 0;
  char *end = strstr(connection->head, "\r\n\r\n");
  if (end == NULL) return connection->head_size += part, part == size;
  size_t used = (size_t)(end + 4 - connection->head) - connection->head_size;
  end[2] = 0;
  if (strcasestr(connection->head, "\r\ntransfer-encoding:") != NULL) return 0;  // a length is all that is understood
  char *length = strcasestr(connection->head, "\r\ncontent-length:");
  connection->body_left = length == NULL ? 0 : strtoll(length + 17, NULL, 10);
  connection->is_reading_body = 1;
  connection->intro_size = 0;
  return take_body(connection, bytes + used, size - used);
}

/** 0 when the connection is lost. */
static int read_all(struct connection *connection) {
  static char bytes[READ_SIZE];
  for (;;) {
    ssize_t size = read(connection->fd, bytes, sizeof bytes);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    if (!(connection->is_reading_body ? take_body : take_head)(connection, bytes, (size_t)size)) return 0;
    if (size < READ_SIZE) return 1;
  }
}

static void on_event(struct connection *connection, uint32_t events) {
  int was_full = connection->rest_size > 0;
  if (!read_all(connection) || !flush(connection) || (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))) {
    drop(connection);
    return;
  }
  int is_stuck = connection->gap == 0 && connection->place < 0 && connection->next_event < connection->events;
  if (was_full && is_stuck && connection->rest_size == 0) schedule(connection);
}

static void accept_all(int listener) {
  for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
    struct connection *connection = calloc(1, sizeof *connection);
    connection->fd = fd;
    connection->place = -1;
    watch(epoll_fd, fd, connection);
  }
}

static void write_json_answer(void) {
  char body[JSON_SIZE + 1], filler[JSON_SIZE];
  memset(filler, 'x', sizeof filler);
  const char *shape =
      "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"%s\",\"choices\":"
      "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%.*s\"},\"finish_reason\":\"stop\"}],"
      "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":200,\"total_tokens\":400}}";
  int bare = snprintf(NULL, 0, shape, model, 0, filler);
  snprintf(body, sizeof body, shape, model, JSON_SIZE - bare, filler);
  snprintf(json_answer, sizeof json_answer,
           "HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", JSON_SIZE,
           body);
}

int main(int count, char **arguments) {
  if (count != 3) die("usage: mock PORT MODEL");
  model = arguments[2];
  signal(SIGPIPE, SIG_IGN);
  write_json_answer();
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = loopback(atoi(arguments[1]));
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0)
    die("mock: port %s: %s", arguments[1], strerror(errno));
  epoll_fd = epoll_create1(0);
  watch(epoll_fd, listener, NULL);
  struct epoll_event events[MAX_EVENTS];
  for (;;) {
    int ready = wait_until(epoll_fd, events, heap_size > 0 ? heap[0]->due : now_ns() + SECOND);
    for (int index = 0; index < ready; index++) {
      if (events[index].data.ptr == NULL) accept_all(listener);
      else on_event(events[index].data.ptr, events[index].events);
    }
    for (int64_t now = now_ns(); heap_size > 0 && heap[0]->due <= now;) {
      struct connection *connection = heap[0];
      unschedule(connection);
      if (connection->gap == 0) connection->due = now_ns();  // after all others that are due
      if (!advance(connection)) drop(connection);
    }
  }
}
