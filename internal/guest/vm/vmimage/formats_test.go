package vmimage

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/goldentest"
)

// dump is a dump of b without the lines that say nothing.
func dump(b []byte) string {
	var out strings.Builder
	for line := range strings.Lines(hex.Dump(b)) {
		if text := line[strings.IndexByte(line, '|'):]; strings.Trim(text, "| .\n") != "" {
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestInitrd(t *testing.T) {
	var b bytes.Buffer
	if err := writeInitrd(&b, []byte("the init\n"), []module{{"virtio.ko", []byte("one")}, {"virtio_blk.ko", []byte("three")}}); err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, "initrd.golden", dump(b.Bytes()))
}

func TestISO(t *testing.T) {
	var b bytes.Buffer
	if err := writeISO(&b, "cidata", []isoFile{{"meta-data", []byte("m")}, {"empty", nil}, {"large", bytes.Repeat([]byte("x"), isoSector+1)}}); err != nil {
		t.Fatal(err)
	}
	if b.Len() != 24*isoSector {
		t.Errorf("%d bytes", b.Len())
	}
	// The system area and the long file say nothing.
	goldentest.Check(t, "iso.golden", dump(b.Bytes()[16*isoSector:22*isoSector]))
	many := make([]isoFile, 100)
	if err := writeISO(&b, "cidata", many); err == nil {
		t.Error("a hundred files fit into one sector")
	}
}

func TestUserData(t *testing.T) { goldentest.Check(t, "user-data.golden", userData) }

func TestOrder(t *testing.T) {
	s := stock{files: map[string]string{}, builtin: map[string]bool{"ext4": true, "crc16": true}}
	content := map[string][]byte{}
	for name, info := range map[string]string{
		"virtio": "depends=", "virtio_ring": "depends=virtio", "virtio_blk": "depends=virtio_ring,virtio",
		"libcrc32c": "softdep=pre: crc32c missing", "crc32c": "", "erofs": "depends=libcrc32c,crc16",
		"lost": "depends=nowhere", "circle_a": "depends=circle-b", "circle_b": "depends=circle_a",
	} {
		file := "lib/modules/6/kernel/x/" + name + ".ko"
		s.files[name], content[file] = file, moduleFile(info)
	}
	s.read = func(file string) ([]byte, error) { return content[file], nil }
	for _, c := range []struct {
		wanted, want string
	}{
		{"virtio_blk ext4", "virtio virtio_ring virtio_blk"},
		{"virtio-blk virtio", "virtio virtio_ring virtio_blk"},
		{"erofs", "crc32c libcrc32c erofs"},
		{"circle_a", "circle_b circle_a"},
	} {
		modules, err := s.order(strings.Fields(c.wanted))
		var got []string
		for _, m := range modules {
			got = append(got, strings.TrimSuffix(m.file, ".ko"))
		}
		// What depends on nothing in common may come in either order; here nothing does.
		if err != nil || c.wanted != "virtio_blk ext4" && c.wanted != "virtio-blk virtio" && strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v, want %q", c.wanted, got, err, c.want)
		}
		before := map[string]int{}
		for i, n := range got {
			before[n] = i
		}
		if strings.Contains(c.wanted, "virtio") && (len(got) != 3 || before["virtio"] > before["virtio_ring"] || before["virtio_ring"] > before["virtio_blk"]) {
			t.Errorf("%s: %q, want %q", c.wanted, got, c.want)
		}
	}
	for _, wanted := range []string{"lost", "none"} {
		if _, err := s.order([]string{wanted}); !errors.Is(err, errModule) {
			t.Errorf("%s: %v", wanted, err)
		}
	}
}

// moduleFile is the smallest ELF file with that in its .modinfo.
func moduleFile(info string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	body := "license=GPL\x00" + info + "\x00"
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 1)    // relocatable
	binary.LittleEndian.PutUint16(b[18:], 0x3e) // x86-64
	binary.LittleEndian.PutUint32(b[20:], 1)
	b = append(b, body...)
	b = append(b, names...)
	at := len(b)
	binary.LittleEndian.PutUint64(b[40:], uint64(at))
	binary.LittleEndian.PutUint16(b[52:], 64)
	binary.LittleEndian.PutUint16(b[58:], 64)
	binary.LittleEndian.PutUint16(b[60:], 3)
	binary.LittleEndian.PutUint16(b[62:], 2)
	section := func(name, kind uint32, off, size int) {
		s := make([]byte, 64)
		binary.LittleEndian.PutUint32(s, name)
		binary.LittleEndian.PutUint32(s[4:], kind)
		binary.LittleEndian.PutUint64(s[24:], uint64(off))
		binary.LittleEndian.PutUint64(s[32:], uint64(size))
		b = append(b, s...)
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(body))
	section(10, 3, 64+len(body), len(names))
	return b
}

func TestUnlz4(t *testing.T) {
	// "abcdabcdabcdX" and a long run of literals and copies, packed by hand.
	block := []byte{0x44, 'a', 'b', 'c', 'd', 4, 0, 0x10, 'X'}
	long := append([]byte{0xff, 0}, bytes.Repeat([]byte("y"), 15)...)
	long = append(long, 1, 0, 255, 1, 0x10, 'Z')
	frame := func(blocks ...[]byte) []byte {
		var b []byte
		for _, p := range blocks {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
			b = append(b, p...)
		}
		return b
	}
	got, err := unlz4(append(frame(block, long), 0x99, 0x99, 0x99, 0x7f))
	if want := "abcdabcdabcdX" + strings.Repeat("y", 15+15+255+1+4) + "Z"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for name, damaged := range map[string][]byte{
		"empty": nil, "copy of nothing": frame([]byte{0x04, 1, 0}), "too far back": frame([]byte{0x14, 'a', 2, 0}),
		"literals missing": frame([]byte{0xf0, 200, 'a'}), "length missing": frame([]byte{0xf0}), "offset missing": frame([]byte{0x14, 'a', 1}),
		"no way back": frame([]byte{0x14, 'a', 0, 0}),
	} {
		if _, err := unlz4(damaged); !errors.Is(err, errPacked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnpackKernelRefuses(t *testing.T) {
	bz := make([]byte, 4096)
	copy(bz[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(bz[0x206:], 0x20f)
	bz[0x1f1] = 1
	binary.LittleEndian.PutUint32(bz[0x24c:], 100)
	outside := bytes.Clone(bz)
	binary.LittleEndian.PutUint32(outside[0x24c:], 1<<31)
	for name, b := range map[string][]byte{"short": []byte("ELF"), "no kernel": make([]byte, 4096), "unknown form": bz, "outside": outside} {
		if _, err := unpackKernel(b); !errors.Is(err, errPacked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzUnpackKernel(f *testing.F) {
	f.Add([]byte("\x02\x21\x4c\x18\x09\x00\x00\x00\x44abcd\x04\x00\x10X"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		unpack(append(b, make([]byte, 4)...))
		unpackKernel(b)
	})
}

func TestReadTar(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tar")
	archive := func(headers ...tar.Header) *os.File {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(f)
		for _, h := range headers {
			if h.Typeflag == tar.TypeReg {
				h.Size = int64(len(h.Name))
			}
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Typeflag == tar.TypeReg {
				w.Write([]byte(h.Name))
			}
		}
		w.Close()
		f.Seek(0, 0)
		return f
	}
	none := func(string) bool { return false }
	f := archive(
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./bin/su", Typeflag: tar.TypeReg, Mode: 0o4755},
		tar.Header{Name: "/bin/sg", Typeflag: tar.TypeLink, Linkname: "./bin/su"},
		tar.Header{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "dash"},
		tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666},
		tar.Header{Name: "skip/me", Typeflag: tar.TypeReg},
		tar.Header{Name: "k/lib/a", Typeflag: tar.TypeReg, Mode: 0o644},
	)
	defer f.Close()
	tr, err := readTar(f, func(p string) bool { return below(p, "skip") })
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.complete(); err != nil {
		t.Fatal(err)
	}
	write := func(tr *tree) string {
		out, err := os.Create(filepath.Join(t.TempDir(), "root"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if err := tr.writeErofs(out); err != nil {
			t.Fatal(err)
		}
		return listing(t, mounted(t, out.Name()))
	}
	for p, want := range map[string]fs.FileMode{"bin/sg": fs.ModeSetuid, "tmp": fs.ModeSticky} { // the library reads them no more
		if tr.nodes[p].mode&want == 0 {
			t.Errorf("%s has lost %v", p, want)
		}
	}
	if got, want := write(tr.without("k")), `drwxr-xr-x .
drwxr-xr-x bin
-rwxr-xr-x bin/sg ./bin/su
L--------- bin/sh -> dash
-rwxr-xr-x bin/su ./bin/su
drwxr-xr-x dev
Dcrw-rw-rw- dev/null
drwxr-xr-x proc
drwxr-xr-x run
drwxr-xr-x sys
drwxrwxrwx tmp
`; got != want {
		t.Errorf("the tree is\n%s\nwant\n%s", got, want)
	}
	if got, want := write(tr.sub("k")), "drwxr-xr-x .\ndrwxr-xr-x lib\n-rw-r--r-- lib/a k/lib/a\n"; got != want {
		t.Errorf("the part is\n%s\nwant\n%s", got, want)
	}
	for name, h := range map[string]tar.Header{
		"outside":   {Name: "../x", Typeflag: tar.TypeReg},
		"hard link": {Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"},
	} {
		f := archive(h)
		if _, err := readTar(f, none); err == nil {
			t.Errorf("%s: taken", name)
		}
		f.Close()
	}
}

func TestDescribeDisk(t *testing.T) {
	qcow := func(version uint32, change func([]byte)) []byte {
		b := make([]byte, 512)
		copy(b, "QFI\xfb")
		binary.BigEndian.PutUint32(b[4:], version)
		binary.BigEndian.PutUint64(b[24:], 1<<30)
		change(b)
		return b
	}
	same := func([]byte) {}
	for _, c := range []struct {
		name    string
		content []byte
		format  string
		size    int64
		want    string
	}{
		{"raw", make([]byte, 1024), "raw", 1024, ""},
		{"qcow2", qcow(3, same), "qcow2", 1 << 30, ""},
		{"old qcow2", qcow(2, same), "qcow2", 1 << 30, ""},
		{"ancient", qcow(1, same), "", 0, "version 1"},
		{"chain", qcow(3, func(b []byte) { b[15] = 1 }), "", 0, "qemu-img convert"},
		{"data elsewhere", qcow(3, func(b []byte) { b[79] = 4 }), "", 0, "qemu-img convert"},
		{"no size", qcow(3, func(b []byte) { copy(b[24:32], make([]byte, 8)) }), "", 0, "damaged"},
		{"vmdk", append([]byte("KDMV"), make([]byte, 508)...), "", 0, "VMDK"},
		{"text", []byte("hello"), "", 0, "too short"},
		{"odd", make([]byte, 1000), "", 0, "sectors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, format, size, err := describeDisk(path)
			switch {
			case c.want == "" && (err != nil || format != c.format || size != c.size):
				t.Errorf("%s, %d, %v", format, size, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
