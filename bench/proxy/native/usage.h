// What processes have used: CPU time by the scheduler's own books, memory, and what all others took meanwhile.
#pragma once
#include <dirent.h>
#include "common.h"

#define MAX_PROCESSES 64

struct processes {
  int pids[MAX_PROCESSES];
  int count;
};

struct usage {
  int64_t proxy_ns, mock_ns, own_ns, machine_ns, at;
  long proxy_kb;
};

/** "12,34" */
static inline struct processes read_pids(const char *list) {
  struct processes processes = {.count = 0};
  for (char *end; *list != 0 && processes.count < MAX_PROCESSES; list = *end == ',' ? end + 1 : end) {
    processes.pids[processes.count++] = (int)strtol(list, &end, 10);
    if (end == list) die("load: %s is no list of processes", list);
  }
  return processes;
}

/** Of all threads of a process, to the nanosecond, up to the last time that each was switched out or ticked. */
static inline int64_t cpu_ns(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *tasks = opendir(path);
  if (tasks == NULL) die("load: process %d is gone", pid);
  int64_t sum = 0;
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
    char file[384];
    if (task->d_name[0] == '.') continue;
    snprintf(file, sizeof file, "%s/%s/schedstat", path, task->d_name);
    FILE *schedstat = fopen(file, "r");
    if (schedstat == NULL) continue;  // a thread that has just ended
    long long ns = 0;
    if (fscanf(schedstat, "%lld", &ns) == 1) sum += ns;
    fclose(schedstat);
  }
  closedir(tasks);
  return sum;
}

static inline long resident_kb(int pid) {
  char path[64];
  long total = 0, resident = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  FILE *statm = fopen(path, "r");
  if (statm == NULL) die("load: process %d is gone", pid);
  if (fscanf(statm, "%ld %ld", &total, &resident) != 2) resident = 0;
  fclose(statm);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/** What all processors have been busy with. */
static inline int64_t machine_ns(void) {
  long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0;
  FILE *stat = fopen("/proc/stat", "r");
  if (stat == NULL || fscanf(stat, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &system, &idle, &wait,
                             &irq, &softirq, &steal) != 8)
    die("load: cannot read /proc/stat");
  fclose(stat);
  return (user + nice + system + irq + softirq + steal) * (SECOND / sysconf(_SC_CLK_TCK));
}

static inline struct usage read_usage(const struct processes *proxy, const struct processes *mock) {
  struct usage usage = {.at = now_ns(), .own_ns = cpu_ns(getpid()), .machine_ns = machine_ns()};
  for (int index = 0; index < proxy->count; index++) {
    usage.proxy_ns += cpu_ns(proxy->pids[index]);
    usage.proxy_kb += resident_kb(proxy->pids[index]);
  }
  for (int index = 0; index < mock->count; index++) usage.mock_ns += cpu_ns(mock->pids[index]);
  return usage;
}
