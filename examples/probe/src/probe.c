/*
 * probe: the smallest Windows program that proves it is alive.
 *
 *     probe [WORD...]
 *
 * The first thing that it does is to write one line to standard output, "alive"
 * with its words or, without any, with its process's number; then it sleeps for
 * ever. It imports from kernel32 only and has no C runtime, so what is measured
 * with it is what Windows itself, or Wine, takes to start a program.
 *
 * Exit codes: 1 the line could not be written. Otherwise it does not end by
 * itself.
 */
#include <windows.h>

enum { LONGEST = 200 }; /* bytes of the line; further words are left out */

/* rest gives what follows the program's own name on a command line. */
static const char *rest(const char *line)
{
	int quoted = 0;

	for (; *line && (quoted || (*line != ' ' && *line != '\t')); line++)
		if (*line == '"')
			quoted = !quoted;
	while (*line == ' ' || *line == '\t')
		line++;
	return line;
}

static char *append(char *to, const char *end, const char *text)
{
	while (to < end && *text)
		*to++ = *text++;
	return to;
}

static char *append_number(char *to, const char *end, DWORD number)
{
	char digits[11], *digit = digits + sizeof digits - 1;

	*digit = '\0';
	do
		*--digit = (char)('0' + number % 10);
	while (number /= 10);
	return append(to, end, digit);
}

/* start is where Windows begins; nothing of this program has run before. */
void start(void)
{
	char line[LONGEST + 1];
	const char *end = line + LONGEST;
	const char *words = rest(GetCommandLineA());
	char *to = append(line, end, "alive ");
	DWORD written;

	to = *words ? append(to, end, words) : append_number(to, end, GetCurrentProcessId());
	*to++ = '\n';
	if (!WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), line, (DWORD)(to - line), &written, NULL))
		ExitProcess(1);
	Sleep(INFINITE);
}
