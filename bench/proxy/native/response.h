// Reads one HTTP/1.1 response as it comes in pieces: status, body by length or by chunks, and the events within.
#pragma once
#include "common.h"

#define RESPONSE_HEAD 16384
#define EVENT_ROOM 2048

enum reading { IN_HEAD, IN_SIZED_BODY, IN_CHUNK_SIZE, IN_CHUNK, AFTER_CHUNK, IN_TRAILERS, COMPLETE };

struct response {
  enum reading reading;
  char head[RESPONSE_HEAD];
  size_t head_size;
  int status, must_close;
  int64_t left;        // of the body, or of the chunk
  int64_t body_size;   // so far
  int line_size;       // of the line under way between chunks
  char event[EVENT_ROOM];
  size_t event_size;
  int events, done;    // whole events, and whether [DONE] came
  const char *fault;   // what is wrong with it, if anything
  /** Told of each event, with the time at which it was written. */
  void (*on_event)(void *whom, int64_t written_at);
  void *whom;
};

static inline void expect_response(struct response *response) {
  response->reading = IN_HEAD;
  response->head_size = response->event_size = 0;
  response->status = response->must_close = response->line_size = response->events = response->done = 0;
  response->left = response->body_size = 0;
  response->fault = NULL;
}

static inline void finish_event(struct response *response) {
  char *event = response->event;
  event[response->event_size] = 0;
  response->event_size = 0;
  if (event[0] == ':') return;  // a comment
  if (response->done) response->fault = "an event after [DONE]";
  else if (strncmp(event, "data: [DONE]", 12) == 0) response->done = 1;
  else {
    const char *time = strstr(event, "\"t\":"), *number = strstr(event, "\"i\":");
    if (time == NULL || number == NULL) response->fault = "an event that the backend never sent";
    else if (atoi(number + 4) != response->events) response->fault = "an event lost or out of order";
    response->events++;
    if (time != NULL) response->on_event(response->whom, strtoll(time + 4, NULL, 10));
  }
}

static inline void take_payload(struct response *response, const char *bytes, size_t size) {
  response->body_size += (int64_t)size;
  if (response->on_event == NULL) return;
  for (size_t at = 0; at < size;) {
    const char *newline = memchr(bytes + at, '\n', size - at);
    size_t part = newline == NULL ? size - at : (size_t)(newline - bytes) - at + 1;
    if (response->event_size + part >= EVENT_ROOM) {
      response->fault = "an event of more than 2 KB";
      return;
    }
    memcpy(response->event + response->event_size, bytes + at, part);
    response->event_size += part;
    at += part;
    if (part == 1 && newline != NULL && response->event_size > 1 && response->event[response->event_size - 2] == '\n')
      finish_event(response);
  }
}

static inline void finish_head(struct response *response) {
  char *head = response->head;
  response->status = atoi(head + sizeof "HTTP/1.1");
  response->must_close = strcasestr(head, "\r\nconnection: close") != NULL;
  char *length = strcasestr(head, "\r\ncontent-length:");
  if (length != NULL) {
    response->left = strtoll(length + 17, NULL, 10);
    response->reading = response->left == 0 ? COMPLETE : IN_SIZED_BODY;
  } else if (strcasestr(head, "\r\ntransfer-encoding: chunked") != NULL) {
    response->reading = IN_CHUNK_SIZE;
  } else {
    response->fault = "an answer with neither length nor chunks";
  }
}

/** Takes a head byte by byte: heads are short. */
static inline size_t take_head(struct response *response, const char *bytes, size_t size) {
  for (size_t at = 0; at < size; at++) {
    if (response->head_size == RESPONSE_HEAD - 1) {
      response->fault = "a head of more than 16 KB";
      return size;
    }
    response->head[response->head_size++] = bytes[at];
    if (bytes[at] != '\n' || response->head_size < 4) continue;
    if (memcmp(response->head + response->head_size - 4, "\r\n\r\n", 4) != 0) continue;
    response->head[response->head_size] = 0;
    finish_head(response);
    return at + 1;
  }
  return size;
}

static inline size_t take_sized(struct response *response, const char *bytes, size_t size, enum reading next) {
  size_t part = (int64_t)size < response->left ? size : (size_t)response->left;
  take_payload(response, bytes, part);
  response->left -= (int64_t)part;
  if (response->left == 0) response->reading = next;
  return part;
}

static inline int hex_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit = (char)(digit | 32);
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/** The lines between chunks: sizes, ends, trailers. */
static inline void take_line_byte(struct response *response, char byte) {
  if (byte == '\r') return;
  if (byte != '\n') {
    if (response->reading == IN_CHUNK_SIZE && hex_of(byte) >= 0) response->left = response->left * 16 + hex_of(byte);
    else if (response->reading != IN_TRAILERS) response->fault = "chunks that cannot be read";
    response->line_size++;
    return;
  }
  int was_empty = response->line_size == 0;
  response->line_size = 0;
  if (response->reading == IN_CHUNK_SIZE) response->reading = response->left == 0 ? IN_TRAILERS : IN_CHUNK;
  else if (response->reading == AFTER_CHUNK) response->reading = IN_CHUNK_SIZE;
  else if (was_empty) response->reading = COMPLETE;
}

/** Takes a piece; its faults, and whether it is complete, are seen in `response`. */
static inline void take_response(struct response *response, const char *bytes, size_t size) {
  for (size_t at = 0; at < size && response->fault == NULL;) {
    switch (response->reading) {
      case IN_HEAD: at += take_head(response, bytes + at, size - at); break;
      case IN_SIZED_BODY: at += take_sized(response, bytes + at, size - at, COMPLETE); break;
      case IN_CHUNK: at += take_sized(response, bytes + at, size - at, AFTER_CHUNK); break;
      case COMPLETE: response->fault = "bytes after the end"; break;
      default: take_line_byte(response, bytes[at++]);
    }
  }
}
