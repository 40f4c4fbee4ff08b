/* A load of Socket.IO clients. Prints "begin" and "end" around what is to be measured, then one line of JSON.
 *
 *   sockets join  PORT CODES JOINS CONCURRENT                 connect, join and leave, so many at a time
 *   sockets idle  PORT CODES CLIENTS ROOMS                    connect and join, until standard input ends
 *   sockets fan   PORT CODES CLIENTS ROOMS MOVIES ROUNDS GAP [PORT]  one vote in each room; then until all have seen it
 *   sockets votes PORT CODES CLIENTS ROOMS MOVIES SECONDS     everybody votes again as soon as a vote is acknowledged
 *   sockets pace  PORT CODES CLIENTS ROOMS MOVIES SECONDS RATE  so many votes a second in all; then until all are seen
 *
 * CODES: a file with the code of a session in each line. GAP: the least milliseconds from round to round. The second
 * port is that of another replica, to which a client more for each room is connected, which votes. Before the mode:
 * --deflate offers permessage-deflate, and --patches asks for patches; that they come is checked. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client.h"

enum { CONNECTING_AT_ONCE = 50, SPARE = 4, WARM_UP = 3, MOST_VOTES = 4000000, RECENT = 1024 };
static const double LONGEST = 120, SETTLING = 0.6, WARM_UP_SHARE = 0.3;

typedef struct {
  double sent;
  int room, done;
} Vote;

typedef struct {
  long version;
  double at;
} Commit;

static Client *clients;
static Vote *votes;
static Commit (*commits)[RECENT]; /* of each room, as the voters learned of them */
static double *latencies, *sent_at, deadline, began, cpu_before;
static long *newest, votes_sent, votes_acknowledged, latencies_taken, updates, seen, bytes_before, patches_before;
static int rooms = 1, movies = 1, current_round = -1, is_measuring, votes_again, joins;

static double own_cpu(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void take_latency(double seconds) {
  static long room_for;
  if (latencies_taken == room_for) {
    room_for = room_for ? room_for * 2 : 65536;
    latencies = realloc(latencies, room_for * sizeof *latencies);
  }
  latencies[latencies_taken++] = seconds;
}

static double quantile(double share) {
  return latencies_taken ? latencies[(long)((latencies_taken - 1) * share)] * 1000 : 0;
}

static void fail(const char *why, long number) {
  fprintf(stderr, "%s: %ld\n", why, number);
  exit(1);
}

static void begin(void) {
  puts("begin");
  fflush(stdout);
  is_measuring = 1;
  cpu_before = own_cpu();
  bytes_before = received_bytes;
  patches_before = patches;
  began = now();
}

static void check_what_came(void) {
  if (setup.deflate && !deflated_frames) fail("compressed messages that came", deflated_frames);
  if (setup.patches && patches == patches_before) fail("patches that came", patches - patches_before);
}

static void end(long done) {
  double seconds = now() - began, busy = (own_cpu() - cpu_before) / seconds;
  puts("end");
  qsort(latencies, latencies_taken, sizeof *latencies, by_size);
  printf("{\"done\":%ld,\"failed\":%d,\"seconds\":%.4f,\"busy\":%.3f,", done, failed_clients + lost_clients, seconds,
         busy);
  printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"bytes\":%ld}\n", quantile(.5), quantile(.99),
         received_bytes - bytes_before);
}

static void vote(Client *client) {
  char text[128];
  int movie = rand() % movies, rating;
  if (votes_sent == MOST_VOTES) fail("more votes than fit", votes_sent);
  if (!client->ratings) client->ratings = calloc(movies, 1);
  do rating = 1 + rand() % 5;
  while (rating == client->ratings[movie]);
  client->ratings[movie] = rating;
  snprintf(text, sizeof text, "42%ld[\"vote\",{\"movieID\":\"m%d\",\"rating\":%d}]", votes_sent, movie, rating);
  votes[votes_sent++] = (Vote){now(), client->room, 0};
  send_text(client, text);
}

static void has_joined(Client *client) { joins++; (void)client; }

static void has_joined_for_a_moment(Client *client) {
  joins++;
  take_latency(now() - client->began);
  close_client(client);
}

static void has_updated(Client *client, long version) {
  updates++;
  if (version <= newest[client->room] || client->round >= current_round) return;
  client->round = current_round;
  seen++;
  if (is_measuring && !client->sends_only) take_latency(now() - sent_at[client->room]);
}

/* How long ago the voters learned of what is new in an update; what was seen before that counts as 0. */
static void has_updated_at_a_pace(Client *client, long version) {
  double time = now();
  updates++;
  if (!is_measuring) return;
  long first = client->version < version - RECENT ? version - RECENT : client->version;
  for (long each = first + 1; each <= version; each++) {
    Commit *commit = &commits[client->room][each % RECENT];
    take_latency(commit->version == each ? time - commit->at : 0);
  }
}

static void has_acknowledged(Client *client, long id, long version) {
  if (id < 0 || id >= votes_sent || votes[id].done || !version) return;
  votes[id].done = 1;
  votes_acknowledged++;
  if (commits) {
    commits[client->room][version % RECENT] = (Commit){version, now()};
    if (version > newest[client->room]) newest[client->room] = version;
  }
  if (!votes_again) return;
  take_latency(now() - votes[id].sent);
  vote(client);
}

/* Connects everybody and waits until the last updates about it have come. */
static void connect_all(int count, int members) {
  int started = 0;
  clients = calloc(count, sizeof *clients);
  while (joins + failed_clients < count && now() < deadline) {
    for (; started < count && started - joins - failed_clients < CONNECTING_AT_ONCE; started++) {
      int sends_only = started >= members;
      connect_client(&clients[started], sends_only ? started - members : started % rooms, sends_only);
    }
    handle_events(100);
  }
  if (joins < count) fail("did not join", count - joins);
  long before = -1;
  double changed = now();
  while (now() - changed < SETTLING && now() < deadline) {
    handle_events(50);
    if (updates != before) changed = now();
    before = updates;
  }
}

static void run_joins(int count, int concurrent) {
  int started = 0, places = concurrent * SPARE, place = 0;
  setup.joined = has_joined_for_a_moment;
  clients = calloc(places, sizeof *clients);
  for (int i = 0; i < places; i++) clients[i].state = CLOSED;
  begin();
  while (joins + failed_clients < count && now() < deadline) {
    while (started < count && started - joins - failed_clients < concurrent && open_clients < places) {
      while (clients[place].state != CLOSED) place = (place + 1) % places;
      connect_client(&clients[place], started++ % rooms, 0);
    }
    handle_events(100);
  }
  end(joins);
}

static void run_idle(int count) {
  char byte;
  connect_all(count, count);
  begin();
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  while (read(STDIN_FILENO, &byte, 1) != 0) handle_events(100);
}

static void run_fan(int members, int rounds, double gap) {
  int count = members + (setup.senders_port ? rooms : 0);
  connect_all(count, members);
  for (int round = 0; round < rounds + WARM_UP; round++) {
    if (round == WARM_UP) begin();
    double start = now();
    for (int i = 0; i < count; i++)
      if (clients[i].version > newest[clients[i].room]) newest[clients[i].room] = clients[i].version;
    current_round = round;
    seen = 0;
    for (int room = 0; room < rooms; room++) {
      sent_at[room] = now();
      vote(&clients[setup.senders_port ? members + room : room]);
    }
    while (seen < count && now() < deadline) handle_events(100);
    if (seen < count) fail("did not see a vote", count - seen);
    for (double left; (left = start + gap - now()) > 0;) handle_events((int)(left * 1000));
  }
  check_what_came();
  end((long)rounds * count);
}

/* Votes at equal intervals, in one room after the other, by its members in turn; then until all have seen them. */
static void vote_at_a_pace(int count, double seconds, double rate) {
  static long turn;
  double start = now();
  for (long sent = 0; sent < seconds * rate; sent++, turn++) {
    for (double left; (left = start + sent / rate - now()) > 0;) handle_events((int)(left * 1000) + 1);
    vote(&clients[turn % rooms + turn / rooms % (count / rooms) * rooms]);
  }
  for (long behind = 1; behind > 0;) {
    if (now() > deadline) fail("did not see all votes", behind);
    handle_events(10);
    behind = votes_sent - votes_acknowledged;
    for (int i = 0; i < count; i++) behind += clients[i].version < newest[clients[i].room];
  }
}

static void run_pace(int count, double seconds, double rate) {
  setup.updated = has_updated_at_a_pace;
  commits = calloc(rooms, sizeof *commits);
  connect_all(count, count);
  vote_at_a_pace(count, seconds * WARM_UP_SHARE, rate);
  long before = votes_acknowledged;
  begin();
  vote_at_a_pace(count, seconds, rate);
  check_what_came();
  end(votes_acknowledged - before);
}

static void run_votes(int count, double seconds) {
  connect_all(count, count);
  votes_again = 1;
  begin();
  for (int i = 0; i < count; i++) vote(&clients[i]);
  while (now() < began + seconds) handle_events(50);
  votes_again = 0;
  end(votes_acknowledged);
}

static void read_codes(const char *path) {
  FILE *file = fopen(path, "r");
  int size = 1024, count = 0;
  if (!file) {
    perror(path);
    exit(1);
  }
  setup.codes = calloc(size, sizeof *setup.codes);
  while (fscanf(file, "%15s%*[^\n]", setup.codes[count]) == 1)
    if (++count == size) setup.codes = realloc(setup.codes, (size *= 2) * sizeof *setup.codes);
  fclose(file);
  rooms = count;
}

int main(int count, char **arguments) {
  double numbers[9] = {0};
  for (; count > 1 && !strncmp(arguments[1], "--", 2); count--, arguments++) {
    if (!strcmp(arguments[1], "--deflate")) setup.deflate = 1;
    if (!strcmp(arguments[1], "--patches")) setup.patches = 1;
  }
  if (count < 6 || count > 10) {
    fputs("usage: sockets [--deflate] [--patches] join|idle|fan|votes|pace PORT CODES ...\n", stderr);
    return 2;
  }
  const char *mode = arguments[1];
  for (int i = 4; i < count; i++) numbers[i - 4] = atof(arguments[i]);
  start_polling();
  setup.port = atoi(arguments[2]);
  setup.joined = has_joined;
  setup.updated = has_updated;
  setup.acknowledged = has_acknowledged;
  read_codes(arguments[3]);
  int clients_wanted = numbers[0];
  if (strcmp(mode, "join") && numbers[1] < rooms) rooms = numbers[1];
  if (numbers[2] >= 1) movies = numbers[2];
  if (!strcmp(mode, "fan")) setup.senders_port = numbers[5];
  deadline = now() + LONGEST;
  newest = calloc(rooms, sizeof *newest);
  sent_at = calloc(rooms, sizeof *sent_at);
  votes = calloc(MOST_VOTES, sizeof *votes);
  if (!strcmp(mode, "join")) run_joins(clients_wanted, numbers[1]);
  else if (!strcmp(mode, "idle")) run_idle(clients_wanted);
  else if (!strcmp(mode, "fan")) run_fan(clients_wanted, numbers[3], numbers[4] / 1000);
  else if (!strcmp(mode, "pace")) run_pace(clients_wanted, numbers[3], numbers[4]);
  else if (!strcmp(mode, "votes")) run_votes(clients_wanted, numbers[3]);
  return 0;
}
