/*
 * probe-crt: probe for ordinary needs, with the C runtime; it builds for Linux
 * as well.
 *
 *     probe-crt [WORD...]
 *
 * Writes "alive" with its words or, without any, with its process's number, and
 * sleeps for ever. Exit codes: 1 the line could not be written.
 */
#include <stdio.h>

#ifdef _WIN32
#include <windows.h>
#define number_of_process() ((unsigned long)GetCurrentProcessId())
#define sleep_for_ever() Sleep(INFINITE)
#else
#include <unistd.h>
#define number_of_process() ((unsigned long)getpid())
#define sleep_for_ever() for (;;) pause()
#endif

int main(int argc, char **argv)
{
	int i;

	printf("alive");
	for (i = 1; i < argc; i++)
		printf(" %s", argv[i]);
	if (argc < 2)
		printf(" %lu", number_of_process());
	putchar('\n');
	if (fflush(stdout) != 0)
		return 1;
	sleep_for_ever();
	return 0;
}
