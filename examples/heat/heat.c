/*
 * heat: the temperature of a square plate with a round inclusion.
 *
 *     heat INPUT OUTPUT
 *
 * INPUT is a parameter file of lines "key = value" (see README.md), OUTPUT gets
 * the result. The plate is the unit square. Its sides are held at fixed
 * temperatures, a disc in it conducts heat better or worse than the rest and may
 * give off heat itself:
 *
 *     du/dt = div(k grad u) + q
 *
 * Space: finite volumes on an n x n grid. Time: Crank-Nicolson. The linear
 * system of each time step is solved by conjugate gradients.
 *
 * The same source builds for Linux and for Windows, and both write the same
 * bytes: only + - * / and sqrt are used, which IEEE 754 defines to the last bit.
 *
 * Exit codes: 0 done, 1 no convergence, 2 wrong arguments or parameters,
 * 3 a file cannot be read or written, 4 no memory.
 */
#define __USE_MINGW_ANSI_STDIO 1 /* C99 printf also on Windows */

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_DIVERGED = 1, EXIT_USAGE = 2, EXIT_FILE = 3, EXIT_MEMORY = 4 };

static void die(int code, const char *format, ...)
{
	va_list args;

	fputs("heat: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(code);
}

/* ---- parameters -------------------------------------------------------- */

struct parameters {
	double nodes;        /* cells along a side */
	double steps;        /* time steps */
	double duration;     /* simulated time */
	double conductivity; /* of the plate */
	double inclusion;    /* conductivity of the disc */
	double radius;       /* of the disc, around the plate's centre */
	double source;       /* heat that the disc gives off, per area and time */
	double left, right, bottom, top; /* temperatures of the sides */
	double initial;      /* temperature of the plate at first */
	double tolerance;    /* of the solver: |residual| / |right-hand side| */
};

/* What each key may be; a key without a default must be given. */
struct key {
	const char *name;
	double *value;
	double least, most;
	int whole; /* a whole number */
	int given;
};

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t\r\n");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r\n", end[-1]))
		*--end = '\0';
	return s;
}

static void set(struct key *keys, size_t count, char *line, const char *path, int number)
{
	char *equals = strchr(line, '='), *name, *text, *end;
	size_t i;
	double v;

	if (!equals)
		die(EXIT_USAGE, "%s:%d: expected \"key = value\", found \"%s\"", path, number, line);
	*equals = '\0';
	name = trim(line);
	text = trim(equals + 1);

	for (i = 0; i < count && strcmp(keys[i].name, name) != 0; i++)
		;
	if (i == count)
		die(EXIT_USAGE, "%s:%d: there is no parameter \"%s\"", path, number, name);
	if (keys[i].given)
		die(EXIT_USAGE, "%s:%d: \"%s\" is given twice", path, number, name);
	v = strtod(text, &end);
	if (end == text || *end != '\0')
		die(EXIT_USAGE, "%s:%d: \"%s\" is no number", path, number, text);
	if (!(v >= keys[i].least && v <= keys[i].most) || (keys[i].whole && v != (int)v))
		die(EXIT_USAGE, "%s:%d: %s must be a %snumber from %g to %g, not %s", path, number, name,
		    keys[i].whole ? "whole " : "", keys[i].least, keys[i].most, text);
	*keys[i].value = v;
	keys[i].given = 1;
}

static struct parameters read_parameters(const char *path)
{
	struct parameters p = {0};
	struct key keys[] = {
		{"nodes", &p.nodes, 8, 1024, 1, 0},
		{"steps", &p.steps, 1, 100000, 1, 0},
		{"duration", &p.duration, 1e-6, 1e6, 0, 0},
		{"conductivity", &p.conductivity, 1e-6, 1e6, 0, 0},
		{"inclusion", &p.inclusion, 1e-6, 1e6, 0, 0},
		{"radius", &p.radius, 0, 0.5, 0, 0},
		{"source", &p.source, -1e6, 1e6, 0, 0},
		{"left", &p.left, -1e6, 1e6, 0, 0},
		{"right", &p.right, -1e6, 1e6, 0, 0},
		{"bottom", &p.bottom, -1e6, 1e6, 0, 0},
		{"top", &p.top, -1e6, 1e6, 0, 0},
		{"initial", &p.initial, -1e6, 1e6, 0, 0},
		{"tolerance", &p.tolerance, 1e-14, 0.1, 0, 0},
	};
	const size_t count = sizeof keys / sizeof keys[0];
	char line[512];
	int number = 0;
	size_t i;
	FILE *f = fopen(path, "rb");

	if (!f)
		die(EXIT_FILE, "cannot read %s: %s", path, strerror(errno));
	while (fgets(line, sizeof line, f)) {
		char *text, *comment;

		number++;
		if (strlen(line) == sizeof line - 1)
			die(EXIT_USAGE, "%s:%d: the line is too long", path, number);
		if ((comment = strchr(line, '#')) != NULL)
			*comment = '\0';
		text = trim(line);
		if (*text)
			set(keys, count, text, path, number);
	}
	if (ferror(f))
		die(EXIT_FILE, "cannot read %s: %s", path, strerror(errno));
	fclose(f);
	for (i = 0; i < count; i++)
		if (!keys[i].given)
			die(EXIT_USAGE, "%s: %s is missing", path, keys[i].name);
	return p;
}

/* ---- the plate --------------------------------------------------------- */

/*
 * Cells are numbered row by row from the lower left corner. ke is the
 * conductance between a cell and its eastern neighbour, kn to its northern one;
 * the first column of ke, and row of kn, belong to the cells' west and south
 * sides: ke[row * (n+1) + column], kn[row * n + column].
 */
struct plate {
	int n;
	double *ke, *kn, *source, *border, *diagonal;
};

static double *field(size_t count)
{
	double *f = calloc(count, sizeof *f);

	if (!f)
		die(EXIT_MEMORY, "no memory for %lu numbers", (unsigned long)count);
	return f;
}

static int inside(const struct parameters *p, int n, int column, int row)
{
	double x = (column + 0.5) / n - 0.5, y = (row + 0.5) / n - 0.5;

	return x * x + y * y < p->radius * p->radius;
}

/* Between two cells heat flows through two halves in series: the harmonic mean. */
static double between(double a, double b)
{
	return 2.0 * a * b / (a + b);
}

static struct plate make_plate(const struct parameters *p)
{
	const int n = (int)p->nodes;
	const size_t cells = (size_t)n * n;
	struct plate g = {n, field(cells + n), field(cells + n), field(cells), field(cells), field(cells)};
	double *k = field(cells);
	int i, j;

	for (j = 0; j < n; j++)
		for (i = 0; i < n; i++) {
			k[j * n + i] = inside(p, n, i, j) ? p->inclusion : p->conductivity;
			g.source[j * n + i] = inside(p, n, i, j) ? p->source : 0.0;
		}

	/* In units of 1/h^2, h being the width of a cell; the sides are half a cell away. */
	for (j = 0; j < n; j++)
		for (i = 0; i <= n; i++)
			g.ke[j * (n + 1) + i] = (double)n * n *
				(i == 0 ? 2 * k[j * n] : i == n ? 2 * k[j * n + n - 1] : between(k[j * n + i - 1], k[j * n + i]));
	for (j = 0; j <= n; j++)
		for (i = 0; i < n; i++)
			g.kn[j * n + i] = (double)n * n *
				(j == 0 ? 2 * k[i] : j == n ? 2 * k[(n - 1) * n + i] : between(k[(j - 1) * n + i], k[j * n + i]));

	for (j = 0; j < n; j++)
		for (i = 0; i < n; i++) {
			const double west = g.ke[j * (n + 1) + i], east = g.ke[j * (n + 1) + i + 1];
			const double south = g.kn[j * n + i], north = g.kn[(j + 1) * n + i];
			double b = 0.0;

			if (i == 0)
				b += west * p->left;
			if (i == n - 1)
				b += east * p->right;
			if (j == 0)
				b += south * p->bottom;
			if (j == n - 1)
				b += north * p->top;
			g.border[j * n + i] = b;
			g.diagonal[j * n + i] = west + east + south + north;
		}
	free(k);
	return g;
}

/* out = u + factor * A u, where A u is the heat that flows out of each cell with all sides at 0. */
static void apply(const struct plate *g, double factor, const double *u, double *out)
{
	const int n = g->n;
	int i, j;

	for (j = 0; j < n; j++)
		for (i = 0; i < n; i++) {
			const int c = j * n + i;
			double flow = g->diagonal[c] * u[c];

			if (i > 0)
				flow -= g->ke[j * (n + 1) + i] * u[c - 1];
			if (i < n - 1)
				flow -= g->ke[j * (n + 1) + i + 1] * u[c + 1];
			if (j > 0)
				flow -= g->kn[c] * u[c - n];
			if (j < n - 1)
				flow -= g->kn[c + n] * u[c + n];
			out[c] = u[c] + factor * flow;
		}
}

/* ---- the solver -------------------------------------------------------- */

static double dot(const double *a, const double *b, size_t count)
{
	double sum = 0.0;
	size_t i;

	for (i = 0; i < count; i++)
		sum += a[i] * b[i];
	return sum;
}

struct solution {
	int iterations;
	double residual; /* relative */
};

/* Conjugate gradients for (1 + factor A) u = b, from the u that is there. work: 3 fields. */
static struct solution solve(const struct plate *g, double factor, double *u, const double *b,
			     double tolerance, double *work)
{
	const size_t cells = (size_t)g->n * g->n;
	double *r = work, *d = work + cells, *q = work + 2 * cells;
	const double norm = sqrt(dot(b, b, cells));
	struct solution s = {0, 0.0};
	double rr, next, alpha;
	size_t i;

	if (norm == 0.0) { /* the solution is 0 */
		memset(u, 0, cells * sizeof *u);
		return s;
	}
	apply(g, factor, u, r);
	for (i = 0; i < cells; i++)
		d[i] = r[i] = b[i] - r[i];
	rr = dot(r, r, cells);
	while ((s.residual = sqrt(rr) / norm) > tolerance) {
		if (++s.iterations > 10 * g->n)
			die(EXIT_DIVERGED, "no convergence: residual %.3e after %d iterations", s.residual, s.iterations - 1);
		apply(g, factor, d, q);
		alpha = rr / dot(d, q, cells);
		for (i = 0; i < cells; i++) {
			u[i] += alpha * d[i];
			r[i] -= alpha * q[i];
		}
		next = dot(r, r, cells);
		for (i = 0; i < cells; i++)
			d[i] = r[i] + next / rr * d[i];
		rr = next;
	}
	return s;
}

/* ---- the result -------------------------------------------------------- */

static void report_step(FILE *f, int step, double time, struct solution s, const double *u, size_t cells)
{
	double least = u[0], most = u[0], sum = 0.0;
	size_t i;

	for (i = 0; i < cells; i++) {
		least = u[i] < least ? u[i] : least;
		most = u[i] > most ? u[i] : most;
		sum += u[i];
	}
	fprintf(f, "step %4d  time %.6e  iterations %3d  residual %.3e  min %+.9e  max %+.9e  mean %+.9e  l2 %.9e\n",
		step, time, s.iterations, s.residual, least, most, sum / cells, sqrt(dot(u, u, cells) / cells));
}

static void report_probes(FILE *f, const double *u, int n)
{
	int i, j;

	for (j = 1; j <= 3; j++)
		for (i = 1; i <= 3; i++)
			fprintf(f, "probe  x %.2f  y %.2f  temperature %+.9e\n", i / 4.0, j / 4.0,
				u[(size_t)(j * n / 4) * n + i * n / 4]);
}

int main(int argc, char **argv)
{
	struct parameters p;
	struct plate g;
	size_t cells, i;
	double *u, *b, *work, half;
	int step, steps, every;
	long iterations = 0;
	FILE *f;

	if (argc != 3) {
		fputs("usage: heat INPUT OUTPUT\n", stderr);
		return EXIT_USAGE;
	}
	p = read_parameters(argv[1]);
	g = make_plate(&p);
	cells = (size_t)g.n * g.n;
	u = field(cells);
	b = field(cells);
	work = field(3 * cells);
	steps = (int)p.steps;
	every = steps < 10 ? 1 : steps / 10;
	half = p.duration / steps / 2;

	/* Binary, so that lines end in \n on Windows too. */
	f = fopen(argv[2], "wb");
	if (!f)
		die(EXIT_FILE, "cannot write %s: %s", argv[2], strerror(errno));
	fprintf(f, "heat 1: %d x %d cells, %d steps, conductivity %.6g and %.6g, radius %.6g, source %.6g\n",
		g.n, g.n, steps, p.conductivity, p.inclusion, p.radius, p.source);

	for (i = 0; i < cells; i++)
		u[i] = p.initial;
	for (step = 1; step <= steps; step++) {
		struct solution s;

		/* (1 + dt/2 A) u' = (1 - dt/2 A) u + dt (border + source) */
		apply(&g, -half, u, b);
		for (i = 0; i < cells; i++)
			b[i] += 2 * half * (g.border[i] + g.source[i]);
		s = solve(&g, half, u, b, p.tolerance, work);
		iterations += s.iterations;
		if (step % every == 0 || step == steps)
			report_step(f, step, 2 * half * step, s, u, cells);
	}
	report_probes(f, u, g.n);
	fprintf(f, "done  iterations %ld\n", iterations);

	/* A full disk may show only here. */
	if (fflush(f) != 0 || ferror(f))
		die(EXIT_FILE, "cannot write %s: %s", argv[2], strerror(errno));
	if (fclose(f) != 0)
		die(EXIT_FILE, "cannot write %s: %s", argv[2], strerror(errno));
	return 0;
}
