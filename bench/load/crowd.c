/* Clients that connect anew whenever they are refused or lost, half a second to one and a half later, and vote.
 *
 *   crowd [--backoff] [--deflate] [--patches] [--host=ADDRESS] CODES CLIENTS MOVIES RATE PORT...
 *
 * CODES: a file with the code of a session in each line. RATE: votes a second in all. Each attempt goes to one of the
 * ports, and if nothing listens there at once to another one. A line CLIENTS [RATE] on standard input changes how many
 * there are and how often they vote; its end ends everything. Each second prints a line of JSON: what has happened since
 * the line before, but for the number of those that have joined. Late are acknowledgements after more than a second.
 * complete_at: when all had joined last, by the monotonic clock. --backoff: they wait twice as long after each further
 * attempt that fails, up to five seconds, as socket.io-client does. The other options are those of sockets.c. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

enum { MOST_CLIENTS = 20000, MOST_PORTS = 16, MOST_CODES = 20000, RECENT = 1 << 16, TRIES = 64 };
static const double SCAN = 0.02, LATE = 1, LONGEST_PAUSE = 5;

static Client clients[MOST_CLIENTS];
static double again[MOST_CLIENTS], sent_at[RECENT], latencies[RECENT];
static char codes[MOST_CODES][16];
static int ports[MOST_PORTS], chosen[MOST_CLIENTS], failures[MOST_CLIENTS], ports_count, rooms, wanted, movies;
static int joined_now, latencies_count, late, is_over, backs_off;
static long votes_sent, votes_refused, updates;
static double rate, votes_due, complete_at;

/* When a client connects that was lost or has failed so many times. */
static double next_attempt(int failed) {
  double pause = (backs_off ? 1 << (failed < 3 ? failed : 3) : 1) * (.5 + (double)rand() / RAND_MAX);
  return now() + (pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE);
}

static void has_joined(Client *client) { (void)client; }

static void has_updated(Client *client, long version) {
  (void)client;
  (void)version;
  updates++;
}

static void has_acknowledged(Client *client, long id, long version) {
  (void)client;
  if (!version) votes_refused++;
  double seconds = now() - sent_at[id % RECENT];
  if (seconds > LATE) late++;
  if (latencies_count < RECENT) latencies[latencies_count++] = seconds;
}

static void vote(void) {
  char text[128];
  for (int i = 0; i < TRIES && wanted; i++) {
    Client *client = &clients[rand() % wanted];
    if (client->state != JOINED) continue;
    if (!client->ratings) client->ratings = calloc(movies, 1);
    int movie = rand() % movies, rating = 1 + (client->ratings[movie] + rand() % 4) % 5;
    client->ratings[movie] = rating;
    snprintf(text, sizeof text, "42%ld[\"vote\",{\"movieID\":\"m%d\",\"rating\":%d}]", votes_sent, movie, rating);
    sent_at[votes_sent++ % RECENT] = now();
    send_text(client, text);
    return;
  }
}

/* Connects those whose time has come, and closes those that are too many. */
static void scan(void) {
  double time = now();
  int joined_before = joined_now;
  joined_now = 0;
  for (int i = 0; i < MOST_CLIENTS; i++) {
    Client *client = &clients[i];
    if (client->state == JOINED) {
      joined_now++;
      failures[i] = 0;
      if (i >= wanted) close_client(client);
    } else if (client->state == CLOSED && i < wanted) {
      if (!again[i] && !client->is_unreachable) again[i] = next_attempt(failures[i]++);
      if (time < again[i]) continue;
      again[i] = 0;
      chosen[i] = (client->is_unreachable ? chosen[i] + 1 : rand()) % ports_count;
      setup.port = ports[chosen[i]];
      connect_client(client, i % rooms, 0);
    }
  }
  if (joined_now == wanted && joined_before != wanted) complete_at = time;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void tell(double seconds) {
  static int refused_before, lost_before;
  static long updates_before, bytes_before;
  qsort(latencies, latencies_count, sizeof *latencies, by_size);
  double p99 = latencies_count ? latencies[(int)((latencies_count - 1) * .99)] * 1000 : 0;
  printf("{\"seconds\":%.1f,\"wanted\":%d,\"joined\":%d,\"refused\":%d,\"lost\":%d,", seconds, wanted, joined_now,
         failed_clients - refused_before, lost_clients - lost_before);
  printf("\"acks\":%d,\"late\":%d,\"failed_votes\":%ld,\"p99_ms\":%.1f,", latencies_count, late, votes_refused, p99);
  printf("\"updates\":%ld,\"bytes\":%ld,\"complete_at\":%.2f}\n", updates - updates_before,
         received_bytes - bytes_before, complete_at);
  fflush(stdout);
  refused_before = failed_clients;
  lost_before = lost_clients;
  updates_before = updates;
  bytes_before = received_bytes;
  latencies_count = late = votes_refused = 0;
}

static void take_command(void) {
  static char line[32];
  static int size;
  char byte;
  for (long count; (count = read(STDIN_FILENO, &byte, 1)) >= 0;) {
    if (count == 0) {
      is_over = 1;
      return;
    }
    if (byte != '\n' && size < (int)sizeof line - 1) {
      line[size++] = byte;
      continue;
    }
    line[size] = 0;
    size = 0;
    if (sscanf(line, "%d %lf", &wanted, &rate) == 2) votes_due = now();
    if (wanted > MOST_CLIENTS) wanted = MOST_CLIENTS;
  }
}

static void read_codes(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) {
    perror(path);
    exit(1);
  }
  while (rooms < MOST_CODES && fscanf(file, "%15s%*[^\n]", codes[rooms]) == 1) rooms++;
  fclose(file);
}

int main(int count, char **arguments) {
  for (; count > 1 && !strncmp(arguments[1], "--", 2); count--, arguments++) {
    if (!strcmp(arguments[1], "--backoff")) backs_off = 1;
    if (!strcmp(arguments[1], "--deflate")) setup.deflate = 1;
    if (!strcmp(arguments[1], "--patches")) setup.patches = 1;
    if (!strncmp(arguments[1], "--host=", 7)) setup.host = inet_addr(arguments[1] + 7);
  }
  if (count < 6 || count > 5 + MOST_PORTS) {
    fputs("usage: crowd [--backoff] [--deflate] [--patches] [--host=ADDRESS] CODES CLIENTS MOVIES RATE PORT...\n", stderr);
    return 2;
  }
  read_codes(arguments[1]);
  wanted = atoi(arguments[2]) < MOST_CLIENTS ? atoi(arguments[2]) : MOST_CLIENTS;
  movies = atoi(arguments[3]);
  rate = atof(arguments[4]);
  for (int i = 5; i < count; i++) ports[ports_count++] = atoi(arguments[i]);
  setup.codes = codes;
  setup.joined = has_joined;
  setup.updated = has_updated;
  setup.acknowledged = has_acknowledged;
  start_polling();
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  double start = now(), scanned = 0, told = start;
  votes_due = start;
  for (int i = 0; i < MOST_CLIENTS; i++) clients[i].state = CLOSED;
  while (!is_over) {
    handle_events(10);
    double time = now();
    if (time - scanned >= SCAN) {
      scanned = time;
      scan();
      take_command();
    }
    for (; rate > 0 && votes_due < time; votes_due += 1 / rate) vote();
    if (time - told >= 1) {
      told = time;
      tell(time - start);
    }
  }
  return 0;
}
