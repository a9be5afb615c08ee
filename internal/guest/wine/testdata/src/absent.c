/* absent.dll: the library that needdll.exe is linked against, and that is then
 * not there. absent-other.dll is the same without the function: present, but the
 * entry point is missing. */
#ifdef OTHER
__declspec(dllexport) int absent_other(void) { return 41; }
#else
__declspec(dllexport) int absent_answer(void) { return 42; }
#endif
