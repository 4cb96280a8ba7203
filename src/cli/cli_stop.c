/* cli_stop.c: see cli_stop.h; all that the handlers call is safe in handlers */
#include "cli/cli_stop.h"

#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "worker/worker.h"

#define GRACE_S 1.5

static volatile sig_atomic_t asked, orderly;
static const char *volatile on_signal_text, *volatile on_time_text;

static void in_seconds(double s)
{
	struct timeval t = {.tv_sec = (time_t)s, .tv_usec = (suseconds_t)(fmod(s, 1) * 1e6)};

	setitimer(ITIMER_REAL, &(struct itimerval){.it_value = t}, NULL);
}

static void say(const char *text)
{
	ssize_t n = text ? write(STDERR_FILENO, text, strlen(text)) : 0;

	(void)n;
}

static void on_signal(int sig)
{
	if (orderly && !asked) {
		asked = 1;
		in_seconds(GRACE_S);
		return;
	}
	pool_kill_workers();
	signal(sig, SIG_DFL); /* so that a shell sees what ended it */
	raise(sig);
}

static void on_time(int sig)
{
	(void)sig;
	pool_kill_workers();
	say(asked ? on_signal_text : on_time_text);
	_exit(1);
}

/* What was ignored from the start (nohup, a shell's background job) stays ignored. */
static void listen_to(int sig)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;

	if (!sigaction(sig, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(sig, &sa, NULL);
}

void cli_stop_install(void)
{
	listen_to(SIGINT);
	listen_to(SIGTERM);
	listen_to(SIGHUP);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_time, .sa_flags = SA_RESTART}, NULL);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
}

void cli_stop_orderly(const char *again)
{
	on_signal_text = again;
	orderly = 1;
}

bool cli_stop_wanted(void)
{
	return asked;
}

void cli_stop_after(double seconds, const char *again)
{
	on_time_text = again;
	in_seconds(seconds + GRACE_S);
}

void cli_stop_done(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	orderly = 0;
}
