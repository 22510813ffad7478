// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into the process of the embedded database, and nowhere else. chdb takes no notice of a
// write(2) that fails: WriteBufferFromFileDescriptor::nextImpl, where ClickHouse throws, breaks out
// of its loop (chdb-core, src/IO). So on a full disk an insert is confirmed, a merge replaces whole
// parts and a table gets its definition, all with files that are empty. Here such a write ends the
// process instead, before anything of it can be confirmed: what a kill -9 leaves behind is whole.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Pipes and sockets fail for reasons of their own, which their users know how to take. */
static int is_file(int fd)
{
	struct stat about;

	return fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

static void say(const char *text)
{
	(void)!syscall(SYS_write, STDERR_FILENO, text, strlen(text));
}

ssize_t write(int fd, const void *bytes, size_t count)
{
	ssize_t written = syscall(SYS_write, fd, bytes, count);
	int error = errno;

	/* Nothing written of something is taken for a failure there, too. */
	if (written > 0 || count == 0 || (written < 0 && (error == EINTR || error == EAGAIN)))
		return written;
	if (is_file(fd)) {
		say("flowdam-failstop: a write failed: ");
		say(written < 0 ? strerror(error) : "nothing written");
		say("\n");
		kill(getpid(), SIGKILL);
		pause();
	}
	errno = error;
	return written;
}
