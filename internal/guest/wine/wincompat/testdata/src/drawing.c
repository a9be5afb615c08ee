/* drawing: GDI into bitmaps in memory: lines, areas, copies, colours; checksums of the pixels. No
 * text: the fonts are the machine's. */
#include "found.h"

static DWORD *pixels;
static HDC dc;

static void drawn(const char *name)
{
    GdiFlush();
    say(name, "%08x", sum(pixels, 64 * 64 * 4));
    PatBlt(dc, 0, 0, 64, 64, WHITENESS);
}

int main(void)
{
    BITMAPINFO info = { { sizeof(BITMAPINFOHEADER), 64, -64, 1, 32, BI_RGB, 0, 0, 0, 0, 0 }, { { 0 } } };
    POINT star[5] = { { 32, 2 }, { 50, 60 }, { 4, 22 }, { 60, 22 }, { 14, 60 } }, curve[4] = { { 2, 60 }, { 20, 2 }, { 40, 62 }, { 62, 4 } };
    HBITMAP bitmap, small;
    HDC other;
    HRGN region;
    BITMAP b;
    LOGFONTW font;
    RECT r = { 4, 4, 40, 40 };
    int i;

    dc = CreateCompatibleDC(NULL);
    say("CreateCompatibleDC", "%d", dc != NULL);
    bitmap = CreateDIBSection(dc, &info, DIB_RGB_COLORS, (void **)&pixels, NULL, 0);
    say("CreateDIBSection", "%d", bitmap != NULL);
    say("SelectObject", "%d", SelectObject(dc, bitmap) != NULL);
    GetObjectW(bitmap, sizeof b, &b);
    say("bitmap", "%ld %ld %ld %d", b.bmWidth, b.bmHeight, b.bmWidthBytes, b.bmBitsPixel);
    PatBlt(dc, 0, 0, 64, 64, WHITENESS);
    drawn("white");
    SetPixel(dc, 3, 4, RGB(1, 2, 3));
    say("GetPixel", "%06lx %08lx", GetPixel(dc, 3, 4), pixels[4 * 64 + 3]);
    MoveToEx(dc, 0, 0, NULL);
    LineTo(dc, 63, 40);
    drawn("line");
    SelectObject(dc, CreatePen(PS_SOLID, 5, RGB(200, 0, 0)));
    SelectObject(dc, CreateSolidBrush(RGB(0, 0, 180)));
    Rectangle(dc, 5, 5, 50, 30);
    drawn("Rectangle");
    Ellipse(dc, 5, 5, 60, 50);
    drawn("Ellipse");
    SetPolyFillMode(dc, ALTERNATE);
    Polygon(dc, star, 5);
    drawn("Polygon alternate");
    SetPolyFillMode(dc, WINDING);
    Polygon(dc, star, 5);
    drawn("Polygon winding");
    PolyBezier(dc, curve, 4);
    drawn("PolyBezier");
    RoundRect(dc, 3, 3, 60, 40, 20, 10);
    drawn("RoundRect");
    Pie(dc, 2, 2, 62, 62, 60, 10, 10, 60);
    drawn("Pie");
    SelectObject(dc, CreateHatchBrush(HS_DIAGCROSS, RGB(0, 100, 0)));
    FillRect(dc, &r, CreateHatchBrush(HS_CROSS, RGB(9, 99, 9)));
    drawn("hatched");
    region = CreateEllipticRgn(10, 10, 50, 50);
    CombineRgn(region, region, CreateRectRgn(30, 30, 60, 60), RGN_XOR);
    say("region", "%lu", GetRegionData(region, 0, NULL) > 0);
    FillRgn(dc, region, GetStockObject(DKGRAY_BRUSH));
    drawn("FillRgn");
    SelectClipRgn(dc, region);
    Rectangle(dc, 0, 0, 64, 64);
    SelectClipRgn(dc, NULL);
    drawn("clipped");
    SetROP2(dc, R2_XORPEN);
    Rectangle(dc, 0, 0, 40, 40);
    Rectangle(dc, 20, 20, 64, 64);
    drawn("XOR");
    SetROP2(dc, R2_COPYPEN);
    for (i = 0; i < 64 * 64; i++) pixels[i] = (DWORD)(i * 2654435761u) & 0xffffff;
    other = CreateCompatibleDC(dc);
    small = CreateCompatibleBitmap(dc, 32, 32);
    SelectObject(other, small);
    SetStretchBltMode(other, COLORONCOLOR);
    StretchBlt(other, 0, 0, 32, 32, dc, 0, 0, 64, 64, SRCCOPY);
    SetStretchBltMode(dc, HALFTONE);
    BitBlt(dc, 10, 10, 32, 32, other, 0, 0, SRCINVERT);
    drawn("StretchBlt BitBlt");
    BitBlt(other, 0, 0, 32, 32, NULL, 0, 0, BLACKNESS);
    SetDIBits(other, small, 0, 32, pixels, &info, DIB_RGB_COLORS);
    { BLENDFUNCTION blend = { AC_SRC_OVER, 0, 100, 0 }; GdiAlphaBlend(dc, 0, 0, 64, 64, other, 0, 0, 32, 32, blend); }
    drawn("alpha");
    { TRIVERTEX v[2] = { { 0, 0, 0xff00, 0, 0, 0 }, { 64, 64, 0, 0, 0xff00, 0 } }; GRADIENT_RECT g = { 0, 1 }; GdiGradientFill(dc, v, 2, &g, 1, GRADIENT_FILL_RECT_H); }
    drawn("gradient");
    SetMapMode(dc, MM_ANISOTROPIC);
    SetWindowExtEx(dc, 100, 100, NULL);
    SetViewportExtEx(dc, 64, -64, NULL);
    SetViewportOrgEx(dc, 0, 64, NULL);
    Rectangle(dc, 10, 10, 90, 30);
    SetMapMode(dc, MM_TEXT);
    SetViewportOrgEx(dc, 0, 0, NULL);
    drawn("mapped");
    BeginPath(dc);
    Ellipse(dc, 5, 5, 40, 60);
    EndPath(dc);
    StrokeAndFillPath(dc);
    drawn("path");
    Rectangle(dc, 10, 10, 30, 30);
    say("device", "%d %d %d", GetDeviceCaps(dc, BITSPIXEL), GetDeviceCaps(dc, TECHNOLOGY), GetDeviceCaps(dc, RASTERCAPS) != 0);
    GetObjectW(GetStockObject(DEFAULT_GUI_FONT), sizeof font, &font);
    say("default font", "%s", plain(font.lfFaceName));
    say("system colours", "%06lx %06lx", GetSysColor(COLOR_WINDOW), GetSysColor(COLOR_BTNFACE));
    say("objects", "%d", DeleteDC(other) && DeleteObject(region));
    return 0;
}
