/*
 * reducer: one table from the results of many heat runs.
 *
 *     reducer OUTPUT_DIR REDOUT
 *
 * Every file in OUTPUT_DIR that begins as heat's results do becomes a line of
 * REDOUT, sorted by name; other files are passed over. The last lines tell the
 * coldest and the warmest plate. Builds for Linux and for Windows alike.
 *
 * Exit codes: 0 done, 1 a result is incomplete, 2 wrong arguments or no result
 * at all, 3 a file cannot be read or written, 4 no memory.
 */
#define __USE_MINGW_ANSI_STDIO 1 /* C99 printf also on Windows */

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_INCOMPLETE = 1, EXIT_USAGE = 2, EXIT_FILE = 3, EXIT_MEMORY = 4 };

static void die(int code, const char *format, ...)
{
	va_list args;

	fputs("reducer: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(code);
}

static void *need(void *memory)
{
	if (!memory)
		die(EXIT_MEMORY, "no memory");
	return memory;
}

struct names {
	char **name;
	size_t count, room;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct names list(const char *folder)
{
	struct names l = {NULL, 0, 0};
	struct dirent *entry;
	DIR *d = opendir(folder);

	if (!d)
		die(EXIT_FILE, "cannot read %s: %s", folder, strerror(errno));
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (l.count == l.room) {
			l.room = l.room ? 2 * l.room : 64;
			l.name = need(realloc(l.name, l.room * sizeof *l.name));
		}
		l.name[l.count] = need(malloc(strlen(entry->d_name) + 1));
		strcpy(l.name[l.count++], entry->d_name);
	}
	closedir(d);
	if (l.count > 0)
		qsort(l.name, l.count, sizeof *l.name, by_name);
	return l;
}

/* What the table keeps of a result. */
struct result {
	int n, steps;
	double least, most, mean, centre;
	long iterations;
	int done; /* the result's last line was there */
};

/* Reads a result; 0: the file is something else. */
static int read_result(const char *path, struct result *r)
{
	static const struct result nothing;
	char line[512];
	double x, y, t;
	int is_result;
	FILE *f = fopen(path, "rb");

	*r = nothing;
	if (!f) /* a folder, on Windows; on Linux reading it fails */
		return 0;
	is_result = fgets(line, sizeof line, f) &&
		    sscanf(line, "heat 1: %d x %*d cells, %d steps", &r->n, &r->steps) == 2;
	while (is_result && fgets(line, sizeof line, f)) {
		const char *extremes = strstr(line, "min ");

		if (strncmp(line, "step ", 5) == 0 && extremes)
			sscanf(extremes, "min %lf max %lf mean %lf", &r->least, &r->most, &r->mean);
		else if (sscanf(line, "probe x %lf y %lf temperature %lf", &x, &y, &t) == 3 && x == 0.5 && y == 0.5)
			r->centre = t;
		else if (sscanf(line, "done iterations %ld", &r->iterations) == 1)
			r->done = 1;
	}
	fclose(f);
	return is_result;
}

int main(int argc, char **argv)
{
	struct names l;
	size_t i, results = 0, coldest = 0, warmest = 0;
	double low = 0.0, high = 0.0, sum = 0.0;
	long iterations = 0;
	FILE *out;

	if (argc != 3) {
		fputs("usage: reducer OUTPUT_DIR REDOUT\n", stderr);
		return EXIT_USAGE;
	}
	l = list(argv[1]);
	out = fopen(argv[2], "wb");
	if (!out)
		die(EXIT_FILE, "cannot write %s: %s", argv[2], strerror(errno));

	fprintf(out, "%-24s %5s %6s %11s %11s %11s %11s %11s\n",
		"result", "cells", "steps", "coldest", "warmest", "mean", "centre", "iterations");
	for (i = 0; i < l.count; i++) {
		char *path = need(malloc(strlen(argv[1]) + strlen(l.name[i]) + 2));
		struct result r;
		int is_result;

		sprintf(path, "%s/%s", argv[1], l.name[i]);
		is_result = read_result(path, &r);
		free(path);
		if (!is_result)
			continue;
		if (!r.done)
			die(EXIT_INCOMPLETE, "%s is incomplete", l.name[i]);
		fprintf(out, "%-24s %5d %6d %+11.6f %+11.6f %+11.6f %+11.6f %11ld\n", l.name[i], r.n, r.steps,
			r.least, r.most, r.mean, r.centre, r.iterations);
		if (results == 0 || r.least < low) {
			low = r.least;
			coldest = i;
		}
		if (results == 0 || r.most > high) {
			high = r.most;
			warmest = i;
		}
		sum += r.mean;
		iterations += r.iterations;
		results++;
	}
	if (results == 0)
		die(EXIT_USAGE, "no result of heat in %s", argv[1]);
	fprintf(out, "\n%lu results, %ld iterations, mean temperature %+.6f\n",
		(unsigned long)results, iterations, sum / results);
	fprintf(out, "coldest %+.6f in %s\n", low, l.name[coldest]);
	fprintf(out, "warmest %+.6f in %s\n", high, l.name[warmest]);

	/* A full disk may show only here. */
	if (fflush(out) != 0 || ferror(out) || fclose(out) != 0)
		die(EXIT_FILE, "cannot write %s: %s", argv[2], strerror(errno));
	for (i = 0; i < l.count; i++)
		free(l.name[i]);
	free(l.name);
	return 0;
}
