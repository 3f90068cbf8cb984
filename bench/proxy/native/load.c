// The load generator: drives a proxy over keep-alive connections for a while, and says in one line of JSON what came of it.
//
//   load port=8000 request=FILE connections=64 warmup=1 seconds=4 [rate=500] [events=250] [proxy=PID,..] [mock=PID,..]
//
// Without a rate the loop is closed: each connection asks again when it has its answer. With one, requests come at random
// times of that rate whatever becomes of them, and their latency counts from when they were due.
// With events, answers are streams: each has to bring exactly as many as it was asked for, in order, and [DONE]. The first
// stream of each connection is of random length, so that they are in all their phases from the beginning on.
#include "common.h"
#include "response.h"
#include "samples.h"
#include "usage.h"

struct client {
  int fd;
  int is_busy;
  int was_heard;       // since the window ended
  int wanted;          // events of this stream
  int64_t started_at;  // or was due
  size_t sent;
  struct response response;
};

static struct {
  int port, connections, events, rate;
  double warmup, seconds;
  const char *request_file;
  struct processes proxy, mock;
} options = {.connections = 64, .warmup = 0.5, .seconds = 2};

static int epoll_fd, is_recording, is_ending;
static char *request;
static size_t request_size;
static char *wanted_field;  // where the request says how many events
static struct client *clients;
static struct client **idle;  // where there is a rate
static int idle_count;
static int64_t *waiting;  // when those were due that found no connection idle
static size_t first_waiting, waiting_end, waiting_room;

static int64_t requests, chunks, failures, reconnects;
static char first_failure[256];
static struct samples latencies, first_events, delays;

static uint64_t random_state = 88172645463325252ULL;  // the same for all proxies

static double random_share(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (double)(random_state >> 11) / 9007199254740992.0;
}

/** -ln(share), by halving: no libm for one logarithm. */
static double random_gap(void) {
  double share = random_share() + 1e-12, sum = 0;
  for (; share < 0.5; share *= 2) sum += 0.6931471805599453;
  double y = 1 - share, power = y;
  for (int n = 1; n < 24; n++, power *= y) sum += power / n;
  return sum;
}

static void connect_client(struct client *client) {
  struct sockaddr_in address = loopback(options.port);
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
    die("load: cannot connect to port %d: %s", options.port, strerror(errno));
  watch(epoll_fd, client->fd, client);
}

static void reconnect(struct client *client) {
  close(client->fd);
  connect_client(client);
  reconnects++;
}

static void on_event(void *whom, int64_t written_at) {
  struct client *client = whom;
  if (!is_recording) return;
  int64_t now = now_ns();
  chunks++;
  add_sample(&delays, now - written_at);
  if (client->response.events == 1) add_sample(&first_events, now - client->started_at);
}

/** 0 when the connection is lost. */
static int send_rest(struct client *client) {
  while (client->is_busy && client->sent < request_size) {
    ssize_t written = write(client->fd, request + client->sent, request_size - client->sent);
    if (written < 0) return errno == EAGAIN;
    client->sent += (size_t)written;
  }
  return 1;
}

static void fail(struct client *client, const char *why) {
  if (failures++ == 0)
    snprintf(first_failure, sizeof first_failure, "%s (status %d, %d of %d events, %lld bytes)", why,
             client->response.status, client->response.events, client->wanted, (long long)client->response.body_size);
}

static void begin(struct client *client, int64_t due, int wanted) {
  expect_response(&client->response);
  client->is_busy = 1;
  client->started_at = due;
  client->sent = 0;
  client->wanted = wanted;
  if (wanted > 0) {
    char digits[16];
    snprintf(digits, sizeof digits, "%7d", wanted);
    memcpy(wanted_field, digits, 7);
  }
  if (!send_rest(client)) {
    // The proxy has ended an idle connection at this very moment: once more on a new one, as every client does.
    reconnect(client);
    client->sent = 0;
    if (!send_rest(client)) fail(client, "a connection lost at once");
  }
  if (wanted > 0 && client->sent < request_size) die("load: the request of a stream has to fit into one write");
}

static void next(struct client *client) {
  if (is_ending) client->is_busy = 0;
  else if (options.rate == 0) begin(client, now_ns(), options.events);
  else if (first_waiting < waiting_end) begin(client, waiting[first_waiting++], 0);
  else {
    client->is_busy = 0;
    idle[idle_count++] = client;
  }
}

static const char *fault_of(const struct client *client) {
  const struct response *response = &client->response;
  if (response->fault != NULL) return response->fault;
  if (response->status != 200) return "another status than 200";
  if (client->wanted == 0) return response->body_size < 900 ? "a body cut short" : NULL;
  if (response->events != client->wanted) return "a stream without all of its events";
  return response->done ? NULL : "a stream without [DONE]";
}

static void finish(struct client *client) {
  const char *fault = fault_of(client);
  if (fault != NULL) fail(client, fault);
  else if (is_recording) {
    requests++;
    if (client->wanted == 0) add_sample(&latencies, now_ns() - client->started_at);
  }
  client->is_busy = 0;
  if (fault != NULL || client->response.must_close) reconnect(client);
  next(client);
}

static void lost(struct client *client) {
  if (client->is_busy) {
    fail(client, "a connection lost");
    reconnect(client);
    next(client);
  } else {
    reconnect(client);
  }
}

static void on_ready(struct client *client) {
  static char bytes[READ_SIZE];
  for (;;) {
    ssize_t size = read(client->fd, bytes, sizeof bytes);
    if (size == 0 || (size < 0 && errno != EAGAIN)) return lost(client);
    if (size < 0) break;
    if (!client->is_busy) return lost(client);
    client->was_heard = 1;
    take_response(&client->response, bytes, (size_t)size);
    if (client->response.fault != NULL || client->response.reading == COMPLETE) return finish(client);
    if (size < READ_SIZE) break;
  }
  if (!send_rest(client)) lost(client);
}

static void arrive(int64_t due) {
  if (idle_count > 0) {
    begin(idle[--idle_count], due, 0);
    return;
  }
  if (waiting_end == waiting_room) waiting = realloc(waiting, sizeof *waiting * (waiting_room = waiting_room * 2 + 1024));
  waiting[waiting_end++] = due;
}

/** Lets things happen until `end`; `arrivals` is when the next request is due, where there is a rate. */
static void run_until(int64_t end, int64_t *arrivals) {
  struct epoll_event events[MAX_EVENTS];
  for (int64_t now; (now = now_ns()) < end;) {
    for (; options.rate > 0 && *arrivals <= now; *arrivals += (int64_t)(random_gap() * SECOND / options.rate))
      arrive(*arrivals);
    int ready = wait_until(epoll_fd, events, options.rate > 0 && *arrivals < end ? *arrivals : end);
    for (int index = 0; index < ready; index++) on_ready(events[index].data.ptr);
  }
}

/** What is under way after the window need not come to its end, but it has to move: what stands still is lost. Nothing new is asked. */
static void await_signs_of_life(void) {
  int64_t never = INT64_MAX, patience = now_ns() + 30 * SECOND;
  is_ending = 1;
  for (int index = 0; index < options.connections; index++) clients[index].was_heard = !clients[index].is_busy;
  for (int index = 0; index < options.connections; index++) {
    while (!clients[index].was_heard && now_ns() < patience) run_until(now_ns() + SECOND / 100, &never);
    if (!clients[index].was_heard) fail(&clients[index], "an answer that stands still");
  }
}

static void read_request(void) {
  FILE *file = fopen(options.request_file, "r");
  if (file == NULL) die("load: cannot read %s", options.request_file);
  fseek(file, 0, SEEK_END);
  request_size = (size_t)ftell(file);
  rewind(file);
  request = calloc(1, request_size + 1);
  if (fread(request, 1, request_size, file) != request_size) die("load: cannot read %s", options.request_file);
  fclose(file);
  if (options.events == 0) return;
  char *key = strstr(request, "\"max_tokens\":");
  if (key == NULL) die("load: the request of a stream needs \"max_tokens\": and seven places");
  wanted_field = key + strlen("\"max_tokens\":");
}

static void read_option(const char *text) {
  const char *value = strchr(text, '=');
  if (value == NULL) die("load: expected name=value, not %s", text);
  size_t size = (size_t)(value++ - text);
#define IS(name) (size == strlen(name) && strncmp(text, name, size) == 0)
  if (IS("port")) options.port = atoi(value);
  else if (IS("request")) options.request_file = value;
  else if (IS("connections")) options.connections = atoi(value);
  else if (IS("events")) options.events = atoi(value);
  else if (IS("rate")) options.rate = atoi(value);
  else if (IS("warmup")) options.warmup = atof(value);
  else if (IS("seconds")) options.seconds = atof(value);
  else if (IS("proxy")) options.proxy = read_pids(value);
  else if (IS("mock")) options.mock = read_pids(value);
  else die("load: there is no option %s", text);
}

/** Opens all connections; in a closed loop they ask for the first time over half of the warm-up, one after the other. */
static void begin_all(int64_t now) {
  clients = calloc((size_t)options.connections, sizeof *clients);
  idle = calloc((size_t)options.connections, sizeof *idle);
  for (int index = 0; index < options.connections; index++) {
    struct client *client = &clients[index];
    client->response.whom = client;
    client->response.on_event = options.events > 0 ? on_event : NULL;
    connect_client(client);
    if (options.rate > 0) next(client);
  }
  int64_t none = 0;
  for (int index = 0; options.rate == 0 && index < options.connections; index++) {
    int length = options.events == 0 ? 0 : 1 + (int)(random_share() * options.events);
    begin(&clients[index], now_ns(), length);
    run_until(now + (int64_t)(options.warmup / 2 * SECOND / options.connections * (index + 1)), &none);
  }
}

static void print_result(const struct usage *from, const struct usage *to) {
  int64_t proxy = to->proxy_ns - from->proxy_ns, mock = to->mock_ns - from->mock_ns, own = to->own_ns - from->own_ns;
  int64_t foreign = to->machine_ns - from->machine_ns - proxy - mock - own;
  printf("{\"seconds\":%.6f,\"requests\":%lld,\"chunks\":%lld,", (double)(to->at - from->at) / SECOND,
         (long long)requests, (long long)chunks);
  printf("\"failures\":%lld,\"firstFailure\":\"%s\",\"reconnects\":%lld,", (long long)failures, first_failure,
         (long long)reconnects);
  printf("\"cpuNs\":{\"proxy\":%lld,\"mock\":%lld,\"load\":%lld,\"foreign\":%lld},", (long long)proxy, (long long)mock,
         (long long)own, (long long)(foreign < 0 ? 0 : foreign));
  printf("\"rssKb\":%ld,", to->proxy_kb);
  print_samples("latency", &latencies);
  printf(",");
  print_samples("firstEvent", &first_events);
  printf(",");
  print_samples("delay", &delays);
  printf("}\n");
}

int main(int count, char **arguments) {
  for (int index = 1; index < count; index++) read_option(arguments[index]);
  if (options.port == 0 || options.request_file == NULL) die("load: port and request are needed");
  signal(SIGPIPE, SIG_IGN);
  epoll_fd = epoll_create1(0);
  read_request();
  int64_t start = now_ns(), arrivals = start;
  begin_all(start);
  run_until(start + (int64_t)(options.warmup * SECOND), &arrivals);
  struct usage from = read_usage(&options.proxy, &options.mock);
  is_recording = 1;
  run_until(from.at + (int64_t)(options.seconds * SECOND), &arrivals);
  is_recording = 0;
  struct usage to = read_usage(&options.proxy, &options.mock);
  await_signs_of_life();
  print_result(&from, &to);
}
