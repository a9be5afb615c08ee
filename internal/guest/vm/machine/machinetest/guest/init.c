/* The init of the guest that machines are tested with. It opens the port named muster, says "ready", and then does
   what it is told there, a line at a time: echo TEXT, off, reset, panic, touch MIB, spin, disks. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void load(void) {
	char name[200];
	FILE *list = fopen("/modules", "r");
	while (list && fscanf(list, "%199s", name) == 1) {
		int f = open(name, O_RDONLY);
		if (syscall(SYS_finit_module, f, "", 0)) perror(name);
		close(f);
	}
}

/* muster opens the port of that name. */
static FILE *muster(void) {
	glob_t found;
	char text[64];
	FILE *port = NULL;
	if (glob("/sys/class/virtio-ports/vport*", 0, NULL, &found)) return NULL;
	for (size_t i = 0; i < found.gl_pathc && !port; i++) {
		snprintf(text, sizeof text, "%s/name", found.gl_pathv[i]);
		FILE *name = fopen(text, "r");
		if (!name) continue;
		if (fgets(text, sizeof text, name) && !strcmp(text, "muster\n")) {
			snprintf(text, sizeof text, "/dev/%s", strrchr(found.gl_pathv[i], '/') + 1);
			int fd = open(text, O_RDWR);
			if (fd >= 0) port = fdopen(fd, "r+");
		}
		fclose(name);
	}
	globfree(&found);
	return port;
}

static void disks(FILE *port) {
	for (char d = 'a'; d < 'f'; d++) {
		char path[64], serial[64] = "", ro[8] = "";
		snprintf(path, sizeof path, "/sys/block/vd%c/serial", d);
		FILE *f = fopen(path, "r");
		if (!f) break;
		if (!fgets(serial, sizeof serial, f)) serial[0] = 0;
		serial[strcspn(serial, "\n")] = 0;
		fclose(f);
		snprintf(path, sizeof path, "/sys/block/vd%c/ro", d);
		if ((f = fopen(path, "r"))) {
			if (!fgets(ro, sizeof ro, f)) ro[0] = 0;
			fclose(f);
		}
		fprintf(port, "vd%c:%s%s ", d, serial, ro[0] == '1' ? ":ro" : "");
	}
	fprintf(port, "\n");
}

int main(void) {
	mkdir("/dev", 0755);
	mkdir("/sys", 0755);
	mount("none", "/dev", "devtmpfs", 0, 0);
	mount("none", "/sys", "sysfs", 0, 0);
	load();
	FILE *port = NULL;
	for (int i = 0; i < 10000 && !port; i++)
		if (!(port = muster())) usleep(1000);
	if (!port) {
		puts("there is no port");
		return 1;
	}
	setvbuf(port, NULL, _IOLBF, 4096);
	fprintf(port, "ready\n");
	char line[4096];
	for (;;) {
		if (!fgets(line, sizeof line, port)) { /* nobody is at the other end */
			clearerr(port);
			usleep(10000);
			continue;
		}
		fseek(port, 0, SEEK_CUR);
		if (!strncmp(line, "echo ", 5)) fprintf(port, "%s", line + 5);
		else if (!strncmp(line, "disks", 5)) disks(port);
		else if (!strncmp(line, "say ", 4)) { printf("%s", line + 4); fflush(stdout); fprintf(port, "said\n"); }
		else if (!strncmp(line, "off", 3)) reboot(RB_POWER_OFF);
		else if (!strncmp(line, "reset", 5)) reboot(RB_AUTOBOOT);
		else if (!strncmp(line, "panic", 5)) return 3; /* the kernel misses its init */
		else if (!strncmp(line, "touch ", 6)) {
			size_t n = (size_t)atoi(line + 6) << 20;
			char *p = malloc(n);
			if (p) memset(p, 7, n);
			fprintf(port, p ? "touched\n" : "no memory\n");
		}
	}
}
