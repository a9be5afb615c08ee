package winpe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Read reads what the file at path is. The error is an *Unfit, in one clear line, when
// it is no Windows program or library at all or is damaged, and an error of the
// file system otherwise. A DLL, a driver or a program for another processor is no
// error here: see Runnable.
func Read(path string) (Info, error) {
	if IsScript(path) {
		st, err := os.Stat(path)
		if err != nil {
			return Info{}, fmt.Errorf("look at the program: %w", err)
		}
		return Info{Path: path, Size: st.Size(), Script: true}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return Info{}, fmt.Errorf("look at the program: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, fmt.Errorf("look at the program: %w", err)
	}
	if !st.Mode().IsRegular() {
		return Info{}, unfit(path, KindNoFile, "not a file that can be run")
	}
	return Parse(f, st.Size(), path)
}

// IsScript reports whether a name is that of a batch file, which cmd.exe runs.
func IsScript(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".bat" || ext == ".cmd"
}

// Parse is Read for bytes that are at hand: size of them, called path in errors.
func Parse(r io.ReaderAt, size int64, path string) (Info, error) {
	im := &image{r: r, size: size, path: path}
	if err := im.headers(); err != nil {
		return Info{}, im.told(err)
	}
	info := im.info
	info.Path, info.Size = path, size
	var err error
	if info.Imports, err = im.imports(); err != nil {
		return Info{}, im.told(err)
	}
	if info.Delayed, err = im.delayed(); err != nil {
		return Info{}, im.told(err)
	}
	info.Driver = info.Driver || kernelOnly(info.Imports)
	info.Packed = im.packed()
	if err := im.texts(&info); err != nil {
		return Info{}, im.told(err)
	}
	return info, nil
}

// told makes sure that an error names the file: running off its end means damage.
func (im *image) told(err error) error {
	var u *Unfit
	switch {
	case errors.As(err, &u):
		return u
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errOutside):
		return unfit(im.path, KindDamaged, "damaged or truncated: %v", err)
	}
	return fmt.Errorf("read %s: %w", im.path, err)
}

// kernelOnly reports whether a file imports from the kernel, which no program can.
func kernelOnly(imports []Import) bool {
	for _, i := range imports {
		switch strings.ToLower(i.DLL) {
		case "ntoskrnl.exe", "hal.dll", "ndis.sys", "wdfldr.sys", "fltmgr.sys", "storport.sys", "scsiport.sys", "bootvid.dll", "win32k.sys":
			return true
		}
	}
	return false
}
