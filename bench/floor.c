/* The floor: one connection, frames of a given size, and nothing but the kernel in the way.
 *
 *   floor serve                                             tells its port, sends back whatever comes
 *   floor call PORT PID CALLERS SIZE WARM_UP_NS SECONDS_NS  keeps CALLERS frames on the way, tells what that came to
 *
 * All frames that one read brought are answered by one send, on both sides; a caller is no more than a count. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 16 };
static char buffer[ROOM];

static void require(int holds, const char *what) {
  if (!holds) {
    perror(what);
    exit(1);
  }
}

static double seconds(clockid_t clock) {
  struct timespec now;
  require(clock_gettime(clock, &now) == 0, "clock_gettime");
  return now.tv_sec + now.tv_nsec * 1e-9;
}

static void send_all(int fd, size_t size) {
  for (size_t sent = 0; sent < size;) {
    ssize_t part = send(fd, buffer + sent, size - sent, MSG_NOSIGNAL);
    require(part > 0, "send");
    sent += part;
  }
}

static void watch(int poll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  require(epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void no_delay(int fd) { setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); }

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void serve(void) {
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
  require(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 16) == 0, "listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  watch(poll, listener);
  for (;;) {
    struct epoll_event event;
    if (epoll_wait(poll, &event, 1, -1) < 1) continue;
    if (event.data.fd == listener) {
      int fd = accept(listener, NULL, NULL);
      no_delay(fd);
      watch(poll, fd);
      continue;
    }
    ssize_t size = recv(event.data.fd, buffer, ROOM, 0);
    if (size > 0)
      send_all(event.data.fd, size);
    else
      close(event.data.fd);
  }
}

static void call(int port, pid_t pid, int callers, size_t size, double warm_up, double duration) {
  struct sockaddr_in address = loopback(port);
  clockid_t server = (~(clockid_t)pid << 3) | 2;
  int fd = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
  require(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
  no_delay(fd);
  watch(poll, fd);
  require(size * callers <= ROOM, "too many callers");
  send_all(fd, size * callers);
  double marks[2][4], due = seconds(CLOCK_MONOTONIC) + warm_up;
  size_t received = 0, done = 0;
  for (int taken = 0; taken < 2;) {
    struct epoll_event event;
    if (epoll_wait(poll, &event, 1, -1) < 1) continue;
    ssize_t part = recv(fd, buffer, ROOM, 0);
    require(part > 0, "recv");
    received += part;
    size_t answered = received / size - done;
    done += answered;
    send_all(fd, size * answered);
    double now = seconds(CLOCK_MONOTONIC);
    if (now >= due) {
      double mark[] = {now, done, seconds(CLOCK_PROCESS_CPUTIME_ID), seconds(server)};
      memcpy(marks[taken++], mark, sizeof mark);
      due = now + duration;
    }
  }
  printf("{\"calls\": %.0f, \"seconds\": %.9f, \"client_cpu\": %.9f, \"server_cpu\": %.9f}\n", marks[1][1] - marks[0][1],
         marks[1][0] - marks[0][0], marks[1][2] - marks[0][2], marks[1][3] - marks[0][3]);
}

int main(int count, char **words) {
  if (count == 2)
    serve();
  else if (count == 8)
    call(atoi(words[2]), atoi(words[3]), atoi(words[4]), atoi(words[5]), atof(words[6]) * 1e-9, atof(words[7]) * 1e-9);
  return count != 8;
}
