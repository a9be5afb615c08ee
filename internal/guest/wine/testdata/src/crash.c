/* crash KIND: ends in one of the ways in which programs die.
 *   read, write, exec   access violation
 *   stack               stack overflow        illegal   illegal instruction
 *   divide              integer division by 0 priv      privileged instruction
 *   float               unmasked floating-point division by 0
 *   abort               C's abort()           raise     RaiseException(0xE0424242)
 *   cxx                 an unhandled C++-like exception (0xE06D7363)
 *   exitav              ExitProcess(0xC0000005), no crash at all
 *   terminate           TerminateProcess(self, 0xC0000005), no crash at all
 *   exit53, exit5, exit-1, exit256   plain exit codes
 *   handled             an access violation that the program itself survives, then exit 7
 *   fastfail            __fastfail             heap     a corrupted heap
 *   thread              access violation in a second thread
 *   say53               prints lines that look like Wine's own, then exit 53
 * Boot: lean. */
#include <float.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static jmp_buf back;

static int __attribute__((noinline)) deep(volatile char *p)
{
    volatile char a[4096];
    a[0] = p[0];
    if (!a[0]) return 0; /* never: only so that the compiler believes in an end */
    return deep(a) + a[0];
}

static LONG CALLBACK survive(EXCEPTION_POINTERS *e)
{
    if (e->ExceptionRecord->ExceptionCode == EXCEPTION_ACCESS_VIOLATION) longjmp(back, 1);
    return EXCEPTION_CONTINUE_SEARCH;
}

static DWORD WINAPI bad(void *arg)
{
    *(volatile int *)arg = 1;
    return 0;
}

int main(int argc, char **argv)
{
    const char *k = argc > 1 ? argv[1] : "read";
    volatile int zero = 0;
    char c = 1;

    puts("about to end");
    fflush(stdout);
    if (!strcmp(k, "read")) return *(volatile int *)(size_t)(zero);
    if (!strcmp(k, "write")) *(volatile int *)(size_t)(zero + 16) = 1;
    if (!strcmp(k, "exec")) ((void (*)(void))(size_t)(zero + 0x1000))();
    if (!strcmp(k, "stack")) return deep(&c);
    if (!strcmp(k, "illegal")) __asm__ volatile("ud2");
    if (!strcmp(k, "divide")) return 1000 / zero;
    if (!strcmp(k, "priv")) __asm__ volatile("hlt");
    if (!strcmp(k, "float")) {
        volatile double d = 0;
        _controlfp(_controlfp(0, 0) & ~_EM_ZERODIVIDE, _MCW_EM);
        return (int)(1.0 / d);
    }
    if (!strcmp(k, "abort")) abort();
    if (!strcmp(k, "raise")) RaiseException(0xE0424242, EXCEPTION_NONCONTINUABLE, 0, NULL);
    if (!strcmp(k, "cxx")) RaiseException(0xE06D7363, EXCEPTION_NONCONTINUABLE, 0, NULL);
    if (!strcmp(k, "exitav")) ExitProcess(0xC0000005);
    if (!strcmp(k, "terminate")) TerminateProcess(GetCurrentProcess(), 0xC0000005);
    if (!strcmp(k, "exit53")) return 53;
    if (!strcmp(k, "exit5")) return 5;
    if (!strcmp(k, "exit-1")) exit(-1);
    if (!strcmp(k, "exit256")) return 256;
    if (!strcmp(k, "handled")) {
        AddVectoredExceptionHandler(1, survive);
        if (setjmp(back) == 0) *(volatile int *)(size_t)(zero) = 1;
        return 7;
    }
    if (!strcmp(k, "fastfail")) __asm__ volatile("movl $7, %ecx; int $0x29");
    if (!strcmp(k, "heap")) {
        char *p = malloc(64);
        memset(p - 64, 0x41, 512);
        free(p);
        free(malloc(64));
        return 8;
    }
    if (!strcmp(k, "thread")) {
        HANDLE t = CreateThread(NULL, 0, bad, (void *)(size_t)zero, 0, NULL);
        WaitForSingleObject(t, INFINITE);
        return 9;
    }
    if (!strcmp(k, "say53")) {
        fputs("wine: Unhandled page fault on read access to 0000000000000000 at address 0000000140001450 (thread 0024), starting debugger...\n", stderr);
        fputs("err:module:import_dll Library absent.dll (which is needed by L\"C:\\\\x.exe\") not found\n", stderr);
        return 53;
    }
    return 2;
}
