// What mock backend and load generator share: time, sockets, and the end of a program that cannot go on.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 512
#define READ_SIZE (64 * 1024)
#define SECOND 1000000000LL

/** CLOCK_MONOTONIC: the same for both programs, so that one can stamp what the other reads. */
static inline int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * SECOND + time.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static inline struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/** Edge-triggered in both directions, so that no later epoll_ctl is needed. */
static inline void watch(int epoll, int fd, void *whom) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = whom};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl: %s", strerror(errno));
}

/** Waits until something happens or `due`; a thousandth of a millisecond matters here, so no epoll_wait. */
static inline int wait_until(int epoll, struct epoll_event *events, int64_t due) {
  int64_t left = due - now_ns();
  if (left < 0) left = 0;
  struct timespec timeout = {.tv_sec = left / SECOND, .tv_nsec = left % SECOND};
  int count = epoll_pwait2(epoll, events, MAX_EVENTS, &timeout, NULL);
  if (count < 0 && errno != EINTR) die("epoll_pwait2: %s", strerror(errno));
  return count < 0 ? 0 : count;
}
