/* automation: strings, variants and arrays of oleaut32, without COM. */
#include "found.h"
#include <oleauto.h>

static void convert(const char *name, VARIANT *from, VARTYPE to)
{
    VARIANT v;
    HRESULT hr;

    VariantInit(&v);
    hr = VariantChangeTypeEx(&v, from, 0x409, 0, to);
    if (FAILED(hr)) say(name, "0x%lx", hr);
    else if (to == VT_BSTR) say(name, "%s", plain(V_BSTR(&v)));
    else if (to == VT_R8) say(name, "%.17g", V_R8(&v));
    else if (to == VT_DATE) say(name, "%.10g", V_DATE(&v));
    else if (to == VT_CY) say(name, "%I64d", V_CY(&v).int64);
    else say(name, "%ld", V_I4(&v));
    VariantClear(&v);
}

int main(void)
{
    VARIANT v;
    SYSTEMTIME s = { 2024, 2, 4, 29, 13, 14, 15, 0 };
    SAFEARRAYBOUND bounds[2] = { { 3, 0 }, { 4, 1 } };
    SAFEARRAY *a;
    LONG at[2] = { 2, 4 }, low, high;
    double d = 2.5, got = 0;
    BSTR b = SysAllocString(L"one"), c = SysAllocStringByteLen("by\0tes", 6);
    DATE date;

    say("SysStringLen", "%u %u", SysStringLen(b), SysStringByteLen(c));
    SysReAllocStringLen(&b, L"longer text", 11);
    say("SysReAllocStringLen", "%s", plain(b));
    SysFreeString(c);
    VariantInit(&v);
    V_VT(&v) = VT_R8;
    V_R8(&v) = 1234567.891;
    convert("double to text", &v, VT_BSTR);
    convert("double to long", &v, VT_I4);
    convert("double to currency", &v, VT_CY);
    V_R8(&v) = 2.5;
    convert("2.5 to long", &v, VT_I4);
    V_VT(&v) = VT_BOOL;
    V_BOOL(&v) = VARIANT_TRUE;
    convert("true to text", &v, VT_BSTR);
    V_VT(&v) = VT_DATE;
    SystemTimeToVariantTime(&s, &date);
    V_DATE(&v) = date;
    say("SystemTimeToVariantTime", "%.10g", date);
    convert("date to text", &v, VT_BSTR);
    V_VT(&v) = VT_BSTR;
    V_BSTR(&v) = SysAllocString(L" 12,345.5 ");
    convert("text to double", &v, VT_R8);
    V_BSTR(&v) = SysAllocString(L"3 March 1999 5:06 PM");
    convert("text to date", &v, VT_DATE);
    V_BSTR(&v) = SysAllocString(L"no number");
    convert("words to long", &v, VT_I4);
    a = SafeArrayCreate(VT_R8, 2, bounds);
    say("SafeArrayGetDim", "%u %u", SafeArrayGetDim(a), SafeArrayGetElemsize(a));
    say("SafeArrayPutElement", "0x%lx", SafeArrayPutElement(a, at, &d));
    say("SafeArrayGetElement", "0x%lx", SafeArrayGetElement(a, at, &got));
    SafeArrayGetLBound(a, 2, &low);
    SafeArrayGetUBound(a, 2, &high);
    say("bounds", "%ld %ld %g", low, high, got);
    at[0] = 3;
    say("outside", "0x%lx", SafeArrayPutElement(a, at, &d));
    say("SafeArrayDestroy", "0x%lx", SafeArrayDestroy(a));
    return 0;
}
