/* smb2load - a bounded SMB2/3 load generator at C speed, on libsmb2.
 *
 *   smb2load -h 127.0.0.1 -p 4460 -s share -u user -P password [options] OP
 *     -n connections (1)   -q requests in flight on each (1)   -t seconds (5)
 *     -b block bytes (4096)  -S file MiB (256)  -L most operations (0: no limit)
 *     -E seal  -G sign  -f path (default per op)
 *   OP: echo stat qinfo open create rename delete read randread write randwrite list lock lease
 *       office connect idle
 *   delete: create, close, remove.  lock: lock a range, unlock it.  lease: one connection of two
 *   opens a file with a read, write and handle lease, the other opens it too and waits until the
 *   first has acknowledged the break; both close.  office: of ten, four stats, two opens, two
 *   reads, one write and one listing.  idle: log on, say "idle" and do nothing for the time.
 *
 * One line of JSON comes out: operations a second, MB/s, latency percentiles in
 * microseconds, and the generator's own CPU seconds (so that it can be seen whether
 * the generator was the limit).  Exit status 1 when an operation failed.
 * It only goes to loopback addresses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <smb2/smb2.h>
#include <smb2/libsmb2.h>
#include <smb2/libsmb2-raw.h>

#define MAX_SAMPLES 4000000
#define MAX_FAILED 1000
#define GRACE_S 20

enum kind {
	ECHO, STAT, QINFO, OPEN, CREATE, RENAME, DELETE, READ, RANDREAD, WRITE, RANDWRITE, LIST,
	LOCK, LEASE, OFFICE, CONNECT, IDLE, KINDS
};

static const struct {
	const char *name, *path;
} ops[KINDS] = {
	[ECHO] = { "echo", "" },
	[STAT] = { "stat", "bench_big.dat" },
	[QINFO] = { "qinfo", "bench_big.dat" },
	[OPEN] = { "open", "bench_big.dat" },
	[CREATE] = { "create", "bench_create" },
	[RENAME] = { "rename", "bench_create" },
	[DELETE] = { "delete", "bench_create" },
	[READ] = { "read", "bench_big.dat" },
	[RANDREAD] = { "randread", "bench_big.dat" },
	[WRITE] = { "write", "bench_w" },
	[RANDWRITE] = { "randwrite", "bench_w" },
	[LIST] = { "list", "bench_dir" },
	[LOCK] = { "lock", "bench_w" },
	[LEASE] = { "lease", "bench_w" },
	[OFFICE] = { "office", "bench_w" },
	[CONNECT] = { "connect", "" },
	[IDLE] = { "idle", "" },
};

static const char *host = "127.0.0.1", *share = "share", *user = "tester", *password = "";
static const char *path;
static int port = 445, connections = 1, depth = 1, seal, sign;
static double seconds = 5;
static uint32_t block = 4096;
static uint64_t file_size = 256ull << 20, most;
static enum kind kind = KINDS;

struct conn {
	struct smb2_context *smb2;
	struct smb2fh *file;
	int index, in_flight, dead;
	uint64_t next, breaks;
};

struct slot {				/* one request in flight */
	struct conn *conn;
	double started;
	uint8_t *buffer;
	struct smb2_stat_64 stat;
	uint64_t random;
	char name[128], other[136];
	struct smb2fh *held;
	int turn;
};

static struct conn *conns;		/* those that break the others' leases come last */
static struct slot *slots;
static int all;				/* conns */
static float *latency;
static uint64_t samples, done, failed, bytes, listed;
static int stopping;
static double end_time;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_utime.tv_sec + r.ru_utime.tv_usec / 1e6 +
	       r.ru_stime.tv_sec + r.ru_stime.tv_usec / 1e6;
}

static void die(const char *what, struct smb2_context *smb2)
{
	fprintf(stderr, "smb2load: %s: %s\n", what, smb2 ? smb2_get_error(smb2) : strerror(errno));
	exit(1);
}

static void *allocate(size_t count, size_t size)
{
	void *made = calloc(count, size);

	if (!made)
		die("memory", NULL);
	return made;
}

static struct smb2_context *connected(void)
{
	struct smb2_context *smb2 = smb2_init_context();
	char server[128];

	if (!smb2)
		die("init", NULL);
	smb2_set_security_mode(smb2, sign ? SMB2_NEGOTIATE_SIGNING_REQUIRED
					  : SMB2_NEGOTIATE_SIGNING_ENABLED);
	if (sign)
		smb2_set_sign(smb2, 1);
	if (seal)
		smb2_set_seal(smb2, 1);
	smb2_set_authentication(smb2, 1);	/* NTLMSSP */
	smb2_set_version(smb2, SMB2_VERSION_ANY);
	smb2_set_user(smb2, user);
	smb2_set_password(smb2, password);
	smb2_set_domain(smb2, "WORKGROUP");
	smb2_set_timeout(smb2, 60);
	snprintf(server, sizeof(server), "%s:%d", host, port);
	if (smb2_connect_share(smb2, server, share, user) < 0)
		die("connect", smb2);
	return smb2;
}

static void sample(double started)
{
	done++;
	if (samples < MAX_SAMPLES)
		latency[samples++] = (float)((now() - started) * 1e6);
}

static void submit(struct slot *slot);

static void finish(struct slot *slot, int status)
{
	slot->conn->in_flight--;
	if (status < 0) {
		failed++;
		if (failed < 4)
			fprintf(stderr, "smb2load: operation failed: %d %s\n", status,
				smb2_get_error(slot->conn->smb2));
		if (failed > MAX_FAILED)
			stopping = 1;
	} else {
		sample(slot->started);
	}
	if (now() >= end_time || (most && done + failed >= most))
		stopping = 1;
	if (!stopping)
		submit(slot);
}

static void on_done(struct smb2_context *smb2, int status, void *data, void *private)
{
	(void)smb2;
	(void)data;
	if (status > 0)
		bytes += status;
	finish(private, status);
}

static void on_closed(struct smb2_context *smb2, int status, void *data, void *private)
{
	(void)smb2;
	(void)data;
	finish(private, status);
}

static void on_removable(struct smb2_context *smb2, int status, void *data, void *private)
{
	struct slot *slot = private;

	(void)data;
	if (status < 0 || smb2_unlink_async(smb2, slot->name, on_done, slot) < 0)
		finish(slot, status < 0 ? status : -EIO);
}

static void on_created(struct smb2_context *smb2, int status, void *data, void *private)
{
	if (status < 0 || !data)
		finish(private, status < 0 ? status : -EIO);
	else if (smb2_close_async(smb2, data, on_removable, private) < 0)
		finish(private, -EIO);
}

static void on_opened(struct smb2_context *smb2, int status, void *data, void *private)
{
	if (status < 0 || !data)
		finish(private, status < 0 ? status : -EIO);
	else if (smb2_close_async(smb2, data, on_closed, private) < 0)
		finish(private, -EIO);
}

static void on_listed(struct smb2_context *smb2, int status, void *data, void *private)
{
	if (status >= 0 && data) {
		while (smb2_readdir(smb2, data))
			listed++;
		smb2_closedir(smb2, data);
	}
	finish(private, status);
}

#include "smb2load_waits.h"

static uint64_t offset(struct slot *slot)
{
	uint64_t blocks = file_size / block ? file_size / block : 1;

	if (kind == READ || kind == WRITE)
		return slot->conn->next++ % blocks * block;
	slot->random ^= slot->random << 13;
	slot->random ^= slot->random >> 7;
	slot->random ^= slot->random << 17;
	return slot->random % blocks * block;
}

static void new_name(struct slot *slot)
{
	snprintf(slot->name, sizeof(slot->name), "%s/c%d_%d_%llu", path, (int)getpid(),
		 slot->conn->index, (unsigned long long)slot->conn->next++);
}

static int office(struct slot *slot)
{
	struct conn *conn = slot->conn;
	int turn = slot->turn++ % 10;

	if (turn < 4)
		return smb2_stat_async(conn->smb2, "bench_big.dat", &slot->stat, on_done, slot);
	if (turn < 6)
		return smb2_open_async(conn->smb2, "bench_big.dat", O_RDONLY, on_opened, slot);
	if (turn < 8)
		return smb2_pread_async(conn->smb2, conn->file, slot->buffer, block, offset(slot),
					on_done, slot);
	if (turn < 9)
		return smb2_pwrite_async(conn->smb2, conn->file, slot->buffer, block, offset(slot),
					 on_done, slot);
	return smb2_opendir_async(conn->smb2, "bench_few", on_listed, slot);
}

static int start(struct slot *slot)
{
	struct conn *conn = slot->conn;
	struct smb2_context *smb2 = conn->smb2;

	switch (kind) {
	case ECHO:
		return smb2_echo_async(smb2, on_done, slot);
	case OPEN:
		return smb2_open_async(smb2, path, O_RDONLY, on_opened, slot);
	case CREATE:				/* new names each run: always a real create */
		new_name(slot);
		return smb2_open_async(smb2, slot->name, O_RDWR | O_CREAT, on_opened, slot);
	case DELETE:
		new_name(slot);
		return smb2_open_async(smb2, slot->name, O_RDWR | O_CREAT, on_created, slot);
	case RENAME:				/* there and back */
		slot->turn = !slot->turn;
		return smb2_rename_async(smb2, slot->turn ? slot->name : slot->other,
					 slot->turn ? slot->other : slot->name, on_done, slot);
	case OFFICE:
		return office(slot);
	case LOCK:
		return lock(slot, LOCK_EXCLUSIVE, on_locked);
	case LEASE:
		return lease(slot);
	case STAT:
		return smb2_stat_async(smb2, path, &slot->stat, on_done, slot);
	case QINFO:
		return smb2_fstat_async(smb2, conn->file, &slot->stat, on_done, slot);
	case READ:
	case RANDREAD:
		return smb2_pread_async(smb2, conn->file, slot->buffer, block, offset(slot),
					on_done, slot);
	case WRITE:
	case RANDWRITE:
		return smb2_pwrite_async(smb2, conn->file, slot->buffer, block, offset(slot),
					 on_done, slot);
	case LIST:
		return smb2_opendir_async(smb2, path, on_listed, slot);
	default:
		return -EINVAL;
	}
}

static void submit(struct slot *slot)
{
	struct conn *conn = slot->conn;

	slot->started = now();
	conn->in_flight++;
	if (start(slot) < 0) {
		conn->in_flight--;
		conn->dead = 1;
		failed++;
		stopping = 1;
		fprintf(stderr, "smb2load: submit: %s\n", smb2_get_error(conn->smb2));
	}
}

static void open_file(struct conn *conn)
{
	char name[256];

	if (kind == READ || kind == RANDREAD || kind == QINFO) {
		conn->file = smb2_open(conn->smb2, path, O_RDONLY);
	} else if (kind == WRITE || kind == RANDWRITE || kind == OFFICE ||
		   kind == LOCK) {
		snprintf(name, sizeof(name), "%s%d.dat", path, conn->index);
		conn->file = smb2_open(conn->smb2, name, O_RDWR | O_CREAT);
		if (conn->file && kind == OFFICE && smb2_ftruncate(conn->smb2, conn->file, file_size) < 0)
			die("grow file", conn->smb2);
	} else {
		if ((kind == CREATE || kind == DELETE || kind == RENAME) && conn->index == 0)
			smb2_mkdir(conn->smb2, path);	/* may exist */
		return;
	}
	if (!conn->file)
		die("open file", conn->smb2);
}

static void make_renamable(struct slot *slot)
{
	struct smb2_context *smb2 = slot->conn->smb2;
	struct smb2fh *file;

	new_name(slot);
	snprintf(slot->other, sizeof(slot->other), "%s.renamed", slot->name);
	file = smb2_open(smb2, slot->name, O_RDWR | O_CREAT);
	if (!file || smb2_close(smb2, file) < 0)
		die("make file", smb2);
}

static void prepare(void)
{
	uint8_t *pattern = allocate(block, 1);

	all = kind == LEASE ? 2 * connections : connections;
	conns = allocate(all, sizeof(*conns));
	slots = allocate((size_t)connections * depth, sizeof(*slots));
	for (uint32_t i = 0; i < block; i++)
		pattern[i] = (uint8_t)(i * 2654435761u >> 11);
	for (int i = 0; i < all; i++) {
		conns[i].index = i;
		conns[i].smb2 = connected();
		if (kind == LEASE)
			smb2_set_oplock_or_lease_break_callback(conns[i].smb2, on_break);
		conns[i].next = kind == LEASE ? 0 : file_size / block * i / connections;
		open_file(&conns[i]);
		for (int k = 0; i < connections && k < depth; k++) {
			struct slot *slot = &slots[i * depth + k];

			slot->conn = &conns[i];
			slot->random = 88172645463325252ull + 7919 * (i * depth + k + 1);
			slot->buffer = kind == READ || kind == RANDREAD || kind == OFFICE
					       ? allocate(block, 1) : pattern;
			if (kind == RENAME)
				make_renamable(slot);
		}
	}
}

static void lose(struct conn *conn)
{
	fprintf(stderr, "smb2load: connection lost: %s\n", smb2_get_error(conn->smb2));
	failed += conn->in_flight;
	conn->in_flight = 0;
	conn->dead = 1;
}

static void pump(void)
{
	struct pollfd *polled = allocate(all, sizeof(*polled));

	for (;;) {
		int waiting = 0;

		for (int i = 0; i < all; i++) {
			polled[i].fd = conns[i].dead ? -1 : smb2_get_fd(conns[i].smb2);
			polled[i].events = conns[i].dead ? 0 : smb2_which_events(conns[i].smb2);
			waiting += conns[i].dead ? 0 : conns[i].in_flight;
		}
		if (!waiting)
			return;
		if (now() > end_time + GRACE_S) {
			fprintf(stderr, "smb2load: %d requests never answered\n", waiting);
			failed += waiting;
			return;
		}
		if (poll(polled, all, 1000) < 0)
			die("poll", NULL);
		for (int i = 0; i < all; i++)
			if (polled[i].revents && smb2_service(conns[i].smb2, polled[i].revents) < 0)
				lose(&conns[i]);
	}
}

static void connect_repeatedly(void)	/* connect, log on, tree, and all of it back */
{
	while (now() < end_time && (!most || done < most)) {
		double started = now();
		struct smb2_context *smb2 = connected();

		smb2_disconnect_share(smb2);
		smb2_destroy_context(smb2);
		sample(started);
	}
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static double percentile(int percent)
{
	return samples ? latency[(samples - 1) * percent / 100] : 0;
}

static void report(double wall, double used)
{
	qsort(latency, samples, sizeof(*latency), by_value);
	printf("{\"op\":\"%s\",\"ops\":%llu,\"failed\":%llu,\"wall_s\":%.4f,\"ops_s\":%.1f,"
	       "\"mb_s\":%.1f,\"entries\":%llu,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
	       "\"client_cpu_s\":%.3f}\n",
	       ops[kind].name, (unsigned long long)done, (unsigned long long)failed, wall,
	       done / wall, bytes / wall / 1e6, (unsigned long long)listed, percentile(50),
	       percentile(90), percentile(99), used);
}

static void usage(void)
{
	fprintf(stderr, "usage: see the head of smb2load.c\n");
	exit(2);
}

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "h:p:s:u:P:n:q:t:b:S:L:EGf:")) != -1) {
		switch (option) {
		case 'h': host = optarg; break;
		case 'p': port = atoi(optarg); break;
		case 's': share = optarg; break;
		case 'u': user = optarg; break;
		case 'P': password = optarg; break;
		case 'n': connections = atoi(optarg); break;
		case 'q': depth = atoi(optarg); break;
		case 't': seconds = atof(optarg); break;
		case 'b': block = strtoul(optarg, NULL, 0); break;
		case 'S': file_size = strtoull(optarg, NULL, 0) << 20; break;
		case 'L': most = strtoull(optarg, NULL, 0); break;
		case 'E': seal = 1; break;
		case 'G': sign = 1; break;
		case 'f': path = optarg; break;
		default: usage();
		}
	}
	if (optind + 1 != argc)
		usage();
	for (int i = 0; i < KINDS; i++)
		if (!strcmp(argv[optind], ops[i].name))
			kind = i;
	if (kind == KINDS || strncmp(host, "127.", 4) || block == 0 || seconds > 120 ||
	    connections < 1 || connections > 1000 || depth < 1 || depth > 256 ||
	    (kind == LEASE && (depth > 1 || connections > 128)))
		usage();
	if (!path)
		path = ops[kind].path;
}

int main(int argc, char **argv)
{
	double started, used;

	signal(SIGPIPE, SIG_IGN);
	parse(argc, argv);
	latency = allocate(MAX_SAMPLES, sizeof(*latency));
	if (kind != CONNECT)
		prepare();
	used = cpu();
	started = now();
	end_time = started + seconds;
	if (kind == CONNECT) {
		connect_repeatedly();
	} else if (kind == IDLE) {
		printf("idle\n");
		fflush(stdout);
		sleep((unsigned)seconds);
		done = connections;
	} else {
		for (int i = 0; i < connections * depth; i++)
			submit(&slots[i]);
		pump();
	}
	report(now() - started, cpu() - used);
	fflush(stdout);
	_exit(failed ? 1 : 0);
}
