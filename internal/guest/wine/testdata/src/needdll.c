/* needdll: needs absent.dll before it can start. The build keeps the library in
 * a folder of its own, so that the program finds none. With it: prints 42.
 * Boot: full as long as nothing is known of that DLL, lean with it. */
#include <stdio.h>

__declspec(dllimport) int absent_answer(void);

int main(void)
{
    printf("%d\n", absent_answer());
    return 0;
}
