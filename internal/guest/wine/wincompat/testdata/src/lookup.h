/* lookup.h: what stands in the registry. */

static inline void known(HKEY root, const wchar_t *key, const wchar_t *value)
{
    BYTE buf[1000];
    char name[300];
    DWORD n = sizeof buf - 2, type = 0;
    HKEY k;
    LSTATUS r = RegOpenKeyExW(root, key, 0, KEY_READ, &k);

    sprintf(name, "%s %s", plain(key), value ? plain(value) : "");
    if (!r) {
        r = RegQueryValueExW(k, value, NULL, &type, buf, &n);
        RegCloseKey(k);
    }
    buf[r ? 0 : n] = buf[(r ? 0 : n) + 1] = 0;
    if (r) say(name, "error %ld", r);
    else if (type == REG_SZ || type == REG_EXPAND_SZ) say(name, "%lu %s", type, plain((wchar_t *)buf));
    else say(name, "%lu %s", type, hex(buf, n));
}

/* many says how many subkeys and values a key has, and a checksum of their names. */
static inline void many(HKEY root, const wchar_t *key, BOOL values)
{
    wchar_t name[300];
    DWORD n = 300, i, h = 0;
    HKEY k;
    LSTATUS r = RegOpenKeyExW(root, key, 0, KEY_READ, &k);

    if (r) {
        say(plain(key), "error %ld", r);
        return;
    }
    for (i = 0; !(values ? RegEnumValueW(k, i, name, &n, NULL, NULL, NULL, NULL) : RegEnumKeyExW(k, i, name, &n, NULL, NULL, NULL, NULL)); i++, n = 300)
        h += sum(name, n * sizeof *name);
    say(plain(key), "%lu %s %08lx", i, values ? "values" : "keys", h);
    RegCloseKey(k);
}
