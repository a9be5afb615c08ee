// Package trim edits the files of a Wine so that it starts programs more cheaply and they see
// nothing of it. Everything here is pure: bytes in, bytes out.
package trim

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// ErrOther means that this Wine is not built as an edit knows it.
var ErrOther = errors.New("this Wine is built otherwise")

// Wine begins each thread by clearing 960 KiB of its stack (signal_start_thread in ntdll.dll), so that a
// program does not see what the loader has left there. Nearly all of it is fresh
// from the kernel and has never been touched: clearing makes it so many pages of memory. Asked to
// forget the pages (madvise, MADV_DONTNEED), the kernel gives zeroes for all of them
// at once, and memory only for those that are used again. What the program sees is the same, byte
// for byte.
//
//	mov rbx,rcx               ; the context      push rcx; pop rbx
//	and rcx,~0FFFh                               xor cl,cl; and ch,0F0h
//	lea rdi,[rcx-0F0000h]                        mov esi,0F0000h; mov rdi,rcx; sub rdi,rsi
//	mov rsp,rdi                                  push 4; pop rdx              ; MADV_DONTNEED
//	sub rcx,rdi                                  push 28; pop rax; syscall    ; madvise(rdi, rsi, rdx)
//	xor eax,eax                                  xchg eax,ecx; jrcxz done
//	shr rcx,3                                    mov ecx,esi; xor eax,eax     ; refused: locked memory
//	rep stosq                                    rep stosb
//	lea rsp,[rbx-20h]                      done: lea rsp,[rbx-20h]
//	mov rcx,rbx                                  push rbx; pop rcx
//	mov edx,1                                    mov dl,1
//	call NtContinue                              call NtContinue
var (
	clearStack = []byte{
		0x48, 0x89, 0xCB, 0x48, 0x81, 0xE1, 0x00, 0xF0, 0xFF, 0xFF, 0x48, 0x8D, 0xB9, 0x00, 0x00, 0xF1, 0xFF,
		0x48, 0x89, 0xFC, 0x48, 0x29, 0xF9, 0x31, 0xC0, 0x48, 0xC1, 0xE9, 0x03, 0xF3, 0x48, 0xAB,
		0x48, 0x8D, 0x63, 0xE0, 0x48, 0x89, 0xD9, 0xBA, 0x01, 0x00, 0x00, 0x00, 0xE8, // and the distance
	}
	forgetStack = []byte{
		0x51, 0x5B, 0x30, 0xC9, 0x80, 0xE5, 0xF0, 0xBE, 0x00, 0x00, 0x0F, 0x00, 0x48, 0x89, 0xCF, 0x48, 0x29, 0xF7,
		0x6A, 0x04, 0x5A, 0x6A, 0x1C, 0x58, 0x0F, 0x05, 0x91, 0xE3, 0x06, 0x89, 0xF1, 0x31, 0xC0, 0xF3, 0xAA,
		0x48, 0x8D, 0x63, 0xE0, 0x53, 0x59, 0xB2, 0x01, 0xE8, // and the distance
	}
)

// ForgetStack changes ntdll.dll as described above.
func ForgetStack(b []byte) ([]byte, error) {
	at := bytes.Index(b, clearStack)
	if at < 0 || bytes.Contains(b[at+1:], clearStack) || len(b) < at+len(clearStack)+4 {
		return nil, ErrOther
	}
	const saved = 1 // byte: the new code is that much shorter
	end := at + len(clearStack)
	distance := binary.LittleEndian.Uint32(b[end:]) + saved
	copy(b[at:], forgetStack)
	binary.LittleEndian.PutUint32(b[end-saved:], distance)
	b[end-saved+4] = 0x90 // NtContinue does not return
	return b, nil
}

const (
	timeZoneFunction = "GetDynamicTimeZoneInformation"
	timeZoneKey      = `System\CurrentControlSet\Control\TimeZoneInformation`
)

// LeaveTimeZone changes kernelbase.dll. As it is loaded into a program, it asks for the time zone and writes its
// name into the registry; finding the name means walking through all time zones of
// the registry, by hundreds of round trips to the server. The holder has written it when a
// program starts, so the call is replaced by its failure (or eax,-1). A program that asks for the time
// zone gets it as before.
func LeaveTimeZone(b []byte) ([]byte, error) {
	dll, err := pe.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOther, err)
	}
	function, ok := exported(dll, b, timeZoneFunction)
	if !ok {
		return nil, ErrOther
	}
	text := dll.Section(".text")
	key := bytes.Index(b, append(wide(timeZoneKey), 0, 0))
	if text == nil || key < 0 || rvaOf(dll, uint32(key)) == 0 || int(text.Offset+text.Size) > len(b) {
		return nil, ErrOther
	}
	keyRVA := rvaOf(dll, uint32(key))
	code := b[text.Offset : text.Offset+text.Size]
	// distance is what a 32-bit distance at code[i:] leads to.
	distance := func(i int) uint32 {
		return text.VirtualAddress + uint32(i) + 4 + binary.LittleEndian.Uint32(code[i:])
	}
	// The call, cmp eax,-1, and je or jne: on one of the two ways the key's name is used soon.
	const window = 96
	near := func(at int) bool {
		for i := max(at, 0); i < min(at+window, len(code)-4); i++ {
			if distance(i) == keyRVA {
				return true
			}
		}
		return false
	}
	found := -1
	for i := 0; i+14 < len(code); i++ {
		if code[i] != 0xE8 || distance(i+1) != function || !bytes.Equal(code[i+5:i+8], []byte{0x83, 0xF8, 0xFF}) {
			continue
		}
		next, other := i+10, i+10+int(int8(code[i+9]))
		switch {
		case code[i+8] == 0x0F && code[i+9]|1 == 0x85:
			next, other = i+14, i+14+int(int32(binary.LittleEndian.Uint32(code[i+10:])))
		case code[i+8]|1 != 0x75:
			continue
		}
		if near(next) || near(other) {
			if found >= 0 {
				return nil, ErrOther
			}
			found = i
		}
	}
	if found < 0 {
		return nil, ErrOther
	}
	copy(code[found:], []byte{0x83, 0xC8, 0xFF, 0x90, 0x90}) // or eax,-1; nop; nop
	return b, nil
}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// rvaOf is where the byte at an offset of the file is in memory; 0 if nowhere.
func rvaOf(f *pe.File, offset uint32) uint32 {
	for _, s := range f.Sections {
		if offset >= s.Offset && offset < s.Offset+s.Size {
			return offset - s.Offset + s.VirtualAddress
		}
	}
	return 0
}

// exported finds a function that a DLL exports by name.
func exported(f *pe.File, b []byte, name string) (rva uint32, ok bool) {
	at := func(rva uint32) []byte {
		for _, s := range f.Sections {
			if rva >= s.VirtualAddress && rva < s.VirtualAddress+s.Size && int(s.Offset+rva-s.VirtualAddress) <= len(b) {
				return b[s.Offset+rva-s.VirtualAddress:]
			}
		}
		return nil
	}
	header, is64 := f.OptionalHeader.(*pe.OptionalHeader64)
	if !is64 {
		return 0, false
	}
	var dir struct{ _, _, _, _, _, Functions, Names, FunctionAt, NameAt, OrdinalAt uint32 }
	if read(at(header.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT].VirtualAddress), &dir) != nil {
		return 0, false
	}
	names, ordinals, functions := at(dir.NameAt), at(dir.OrdinalAt), at(dir.FunctionAt)
	if uint64(len(names)) < 4*uint64(dir.Names) || uint64(len(ordinals)) < 2*uint64(dir.Names) {
		return 0, false
	}
	for i := range dir.Names {
		if !bytes.HasPrefix(at(binary.LittleEndian.Uint32(names[4*i:])), append([]byte(name), 0)) {
			continue
		}
		n := 4 * int(binary.LittleEndian.Uint16(ordinals[2*i:]))
		if len(functions) < n+4 {
			return 0, false
		}
		return binary.LittleEndian.Uint32(functions[n:]), true
	}
	return 0, false
}

// read fills v from b.
func read(b []byte, v any) error {
	_, err := binary.Decode(b, binary.LittleEndian, v)
	return err
}

// RenameString changes the one place in an ELF library's code that names the string
// text: from then on it names what is left of it after skip bytes.
func RenameString(b []byte, text string, skip uint32) ([]byte, error) {
	lib, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOther, err)
	}
	data, code := lib.Section(".rodata"), lib.Section(".text")
	for _, s := range []*elf.Section{data, code} {
		if s == nil || s.Offset+s.FileSize > uint64(len(b)) {
			return nil, ErrOther
		}
	}
	wanted := append(append([]byte{0}, text...), 0)
	held := b[data.Offset : data.Offset+data.FileSize]
	at := bytes.Index(held, wanted)
	if at < 0 || bytes.Contains(held[at+1:], wanted) {
		return nil, ErrOther
	}
	address := uint32(data.Addr) + uint32(at) + 1
	instructions := b[code.Offset : code.Offset+code.FileSize]
	found := -1
	for i := 3; i+4 <= len(instructions); i++ {
		// lea r64,[rip+distance]
		if instructions[i-3]&0xFB != 0x48 || instructions[i-2] != 0x8D || instructions[i-1]&0xC7 != 0x05 {
			continue
		}
		if uint32(code.Addr)+uint32(i)+4+binary.LittleEndian.Uint32(instructions[i:]) != address {
			continue
		}
		if found >= 0 {
			return nil, ErrOther
		}
		found = i
	}
	if found < 0 {
		return nil, fmt.Errorf("%w: nothing names %s", ErrOther, text)
	}
	binary.LittleEndian.PutUint32(instructions[found:], binary.LittleEndian.Uint32(instructions[found:])+skip)
	return b, nil
}
