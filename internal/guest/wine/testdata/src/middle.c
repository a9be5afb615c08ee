/* middle.dll: stands beside needmiddle.exe and itself needs absent.dll, so that
 * the missing library is needed by a library, not by the program. */
__declspec(dllimport) int absent_answer(void);
__declspec(dllexport) int middle_answer(void) { return absent_answer() + 1; }
