/* needmiddle: needs middle.dll (beside it), which needs absent.dll (nowhere).
 * Boot: as needdll. */
#include <stdio.h>

__declspec(dllimport) int middle_answer(void);

int main(void)
{
    printf("%d\n", middle_answer());
    return 0;
}
