package wine

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// holderName is the holder's file in the image's system32.
const holderName = "musterhold.exe"

// holderCode makes the holder: the resident program that keeps a server alive
// and booted. A start from outside looks for the event __wineboot_event: where
// there is none it boots, where it is not set it waits, for up to five minutes. The
// holder writes what it is given on its standard input into the page that all programs
// share (see sharedPage; nothing under a full boot), opens the event, or makes it, sets it, writes one byte to
// its standard output ("ready"), and sleeps. In assembler, by hand, since users have no
// compiler for Windows programs:
//
//	if (NtReadFile(Peb->ProcessParameters->StandardInput, NULL, NULL, NULL, &iosb, input, sizeof(input), NULL, NULL) == 0) {
//		if (NtOpenSection(&section, SECTION_MAP_READ | SECTION_MAP_WRITE, &pageAttributes) < 0) goto fail;
//		if (NtMapViewOfSection(section, NtCurrentProcess(), &page, 0, 0, NULL, &size, ViewShare, 0, PAGE_READWRITE) < 0) goto fail;
//		for (r = input; r->length; r = next(r))
//			if (is_zero(page + r->at, r->length)) memcpy(page + r->at, r->bytes, r->length);
//		RtlGetVersion(&version);
//		page->NtMajorVersion = version.dwMajorVersion; // and so on
//		page->ActiveProcessorCount = Peb->NumberOfProcessors;
//	}
//	if (NtCreateEvent(&event, EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE) < 0) goto fail;
//	if (NtSetEvent(event, NULL) < 0) goto fail;
//	NtWriteFile(Peb->ProcessParameters->StandardOutput, NULL, NULL, NULL, &iosb, "!", 1, NULL, NULL);
//	NtWaitForSingleObject(NtCurrentProcess(), FALSE, NULL);
//	fail: NtTerminateProcess(NtCurrentProcess(), status);
//
// What a newer Wine has written into the page by itself stays.
func holderCode() []byte {
	p := newPE("ntdll.dll", "NtCreateEvent", "NtSetEvent", "NtReadFile", "NtWriteFile", "NtOpenSection", "NtMapViewOfSection",
		"RtlGetVersion", "NtWaitForSingleObject", "NtTerminateProcess")

	const openIf = 0x80 // OBJ_OPENIF: open it when it is there
	attributes := p.object(`\KernelObjects\__wineboot_event`, openIf)
	pageAttributes := p.object(`\KernelObjects\__wine_user_shared_data`, 0)
	event := p.data(uint64(0))
	section, page, size := p.data(uint64(0)), p.data(uint64(0)), p.data(uint64(0)) // size 0: all
	iosb := p.data([2]uint64{})
	ready := p.data([8]byte{'!'})
	input := p.data([pageInput]byte{})
	const versionSize, suite, product = 284, 0x118, 0x11A // of RTL_OSVERSIONINFOEXW
	version := p.data([versionSize / 4]uint32{versionSize})
	store := func(at uint32) { // mov [rbx+at],eax
		p.code(0x89, 0x83).code(binary.LittleEndian.AppendUint32(nil, at)...)
	}

	p.code(0x48, 0x83, 0xEC, 0x68) // sub rsp,68h

	p.code(0x65, 0x48, 0x8B, 0x04, 0x25, 0x60, 0, 0, 0)                // mov rax,gs:[60h]       Peb
	p.code(0x48, 0x8B, 0x40, 0x20)                                     // mov rax,[rax+20h]      ProcessParameters
	p.code(0x48, 0x8B, 0x48, 0x20)                                     // mov rcx,[rax+20h]      StandardInput
	p.code(0x33, 0xD2, 0x45, 0x33, 0xC0, 0x45, 0x33, 0xC9)             // xor edx,edx; xor r8d,r8d; xor r9d,r9d
	p.code(0x48, 0x8D, 0x05).data32(iosb)                              // lea rax,[iosb]
	p.code(0x48, 0x89, 0x44, 0x24, 0x20)                               // mov [rsp+20h],rax
	p.code(0x48, 0x8D, 0x05).data32(input)                             // lea rax,[input]
	p.code(0x48, 0x89, 0x44, 0x24, 0x28)                               // mov [rsp+28h],rax
	p.code(0xC7, 0x44, 0x24, 0x30, pageInput&0xFF, pageInput>>8, 0, 0) // mov dword [rsp+30h],sizeof input
	p.code(0x48, 0xC7, 0x44, 0x24, 0x38, 0, 0, 0, 0)                   // mov qword [rsp+38h],0
	p.code(0x48, 0xC7, 0x44, 0x24, 0x40, 0, 0, 0, 0)                   // mov qword [rsp+40h],0
	p.code(0xFF, 0x15).call("NtReadFile")                              // call [NtReadFile]
	p.code(0x85, 0xC0, 0x0F, 0x85).jump("boot")                        // test eax,eax; jne boot
	p.code(0x48, 0x8D, 0x0D).data32(section)                           // lea rcx,[section]
	p.code(0xBA, 0x06, 0, 0, 0)                                        // mov edx,SECTION_MAP_READ|SECTION_MAP_WRITE
	p.code(0x4C, 0x8D, 0x05).data32(pageAttributes)                    // lea r8,[pageAttributes]
	p.code(0xFF, 0x15).call("NtOpenSection")                           // call [NtOpenSection]
	p.code(0x85, 0xC0, 0x0F, 0x88).jump("fail")                        // test eax,eax; js fail
	p.code(0x48, 0x8B, 0x0D).data32(section)                           // mov rcx,[section]
	p.code(0x48, 0xC7, 0xC2, 0xFF, 0xFF, 0xFF, 0xFF)                   // mov rdx,-1             this process
	p.code(0x4C, 0x8D, 0x05).data32(page)                              // lea r8,[page]
	p.code(0x45, 0x33, 0xC9, 0x33, 0xC0)                               // xor r9d,r9d; xor eax,eax
	p.code(0x48, 0x89, 0x44, 0x24, 0x20)                               // mov [rsp+20h],rax
	p.code(0x48, 0x89, 0x44, 0x24, 0x28)                               // mov [rsp+28h],rax
	p.code(0x48, 0x89, 0x44, 0x24, 0x40)                               // mov [rsp+40h],rax
	p.code(0x48, 0x8D, 0x05).data32(size)                              // lea rax,[size]
	p.code(0x48, 0x89, 0x44, 0x24, 0x30)                               // mov [rsp+30h],rax
	p.code(0x48, 0xC7, 0x44, 0x24, 0x38, 1, 0, 0, 0)                   // mov qword [rsp+38h],ViewShare
	p.code(0x48, 0xC7, 0x44, 0x24, 0x48, 4, 0, 0, 0)                   // mov qword [rsp+48h],PAGE_READWRITE
	p.code(0xFF, 0x15).call("NtMapViewOfSection")                      // call [NtMapViewOfSection]
	p.code(0x85, 0xC0, 0x0F, 0x88).jump("fail")                        // test eax,eax; js fail
	p.code(0x48, 0x8B, 0x1D).data32(page)                              // mov rbx,[page]
	p.code(0x48, 0x8D, 0x35).data32(input)                             // lea rsi,[input]
	p.label("record")                                                  // record:
	p.code(0x0F, 0xB7, 0x06)                                           // movzx eax,word [rsi]
	p.code(0x0F, 0xB7, 0x4E, 0x02)                                     // movzx ecx,word [rsi+2]
	p.code(0x48, 0x83, 0xC6, 0x04)                                     // add rsi,4
	p.code(0x85, 0xC9, 0x0F, 0x84).jump("version")                     // test ecx,ecx; je version
	p.code(0x48, 0x8D, 0x3C, 0x03)                                     // lea rdi,[rbx+rax]
	p.code(0x48, 0x89, 0xFA, 0x41, 0x89, 0xC8)                         // mov rdx,rdi; mov r8d,ecx
	p.code(0x33, 0xC0, 0xF3, 0xAE)                                     // xor eax,eax; repe scasb
	p.code(0x0F, 0x85).jump("written")                                 // jne written
	p.code(0x48, 0x89, 0xD7, 0x44, 0x89, 0xC1, 0xF3, 0xA4)             // mov rdi,rdx; mov ecx,r8d; rep movsb
	p.code(0xE9).jump("record")                                        // jmp record
	p.label("written")                                                 // written:
	p.code(0x4A, 0x8D, 0x34, 0x06, 0xE9).jump("record")                // lea rsi,[rsi+r8]; jmp record
	p.label("version")                                                 // version:
	p.code(0x48, 0x8D, 0x0D).data32(version)                           // lea rcx,[version]
	p.code(0xFF, 0x15).call("RtlGetVersion")                           // call [RtlGetVersion]
	p.code(0x8B, 0x05).data32(version + 4)                             // mov eax,[version.dwMajorVersion]
	store(pageMajor)
	p.code(0x8B, 0x05).data32(version + 8) // mov eax,[version.dwMinorVersion]
	store(pageMinor)
	p.code(0x8B, 0x05).data32(version + 12) // mov eax,[version.dwBuildNumber]
	store(pageBuild)
	p.code(0x0F, 0xB7, 0x05).data32(version + suite) // movzx eax,word [version.wSuiteMask]
	store(pageSuite)
	p.code(0x0F, 0xB6, 0x05).data32(version + product) // movzx eax,byte [version.wProductType]
	store(pageProductType)
	p.code(0x65, 0x48, 0x8B, 0x04, 0x25, 0x60, 0, 0, 0) // mov rax,gs:[60h]       Peb
	p.code(0x8B, 0x80, 0xB8, 0, 0, 0)                   // mov eax,[rax+0B8h]     NumberOfProcessors
	store(pageProcessors)

	p.label("boot")                                              // boot:
	p.code(0x48, 0x8D, 0x0D).data32(event)                       // lea rcx,[event]
	p.code(0xBA, 0x03, 0x00, 0x1F, 0x00)                         // mov edx,EVENT_ALL_ACCESS
	p.code(0x4C, 0x8D, 0x05).data32(attributes)                  // lea r8,[attributes]
	p.code(0x45, 0x33, 0xC9)                                     // xor r9d,r9d
	p.code(0xC7, 0x44, 0x24, 0x20, 0, 0, 0, 0)                   // mov dword [rsp+20h],0
	p.code(0xFF, 0x15).call("NtCreateEvent")                     // call [NtCreateEvent]
	p.code(0x85, 0xC0, 0x0F, 0x88).jump("fail")                  // test eax,eax; js fail
	p.code(0x48, 0x8B, 0x0D).data32(event)                       // mov rcx,[event]
	p.code(0x33, 0xD2)                                           // xor edx,edx
	p.code(0xFF, 0x15).call("NtSetEvent")                        // call [NtSetEvent]
	p.code(0x85, 0xC0, 0x0F, 0x88).jump("fail")                  // test eax,eax; js fail
	p.code(0x65, 0x48, 0x8B, 0x04, 0x25, 0x60, 0, 0, 0)          // mov rax,gs:[60h]       Peb
	p.code(0x48, 0x8B, 0x40, 0x20)                               // mov rax,[rax+20h]      ProcessParameters
	p.code(0x48, 0x8B, 0x48, 0x28)                               // mov rcx,[rax+28h]      StandardOutput
	p.code(0x33, 0xD2, 0x45, 0x33, 0xC0, 0x45, 0x33, 0xC9)       // xor edx,edx; xor r8d,r8d; xor r9d,r9d
	p.code(0x48, 0x8D, 0x05).data32(iosb)                        // lea rax,[iosb]
	p.code(0x48, 0x89, 0x44, 0x24, 0x20)                         // mov [rsp+20h],rax
	p.code(0x48, 0x8D, 0x05).data32(ready)                       // lea rax,[ready]
	p.code(0x48, 0x89, 0x44, 0x24, 0x28)                         // mov [rsp+28h],rax
	p.code(0xC7, 0x44, 0x24, 0x30, 1, 0, 0, 0)                   // mov dword [rsp+30h],1
	p.code(0x48, 0xC7, 0x44, 0x24, 0x38, 0, 0, 0, 0)             // mov qword [rsp+38h],0
	p.code(0x48, 0xC7, 0x44, 0x24, 0x40, 0, 0, 0, 0)             // mov qword [rsp+40h],0
	p.code(0xFF, 0x15).call("NtWriteFile")                       // call [NtWriteFile]
	p.code(0x48, 0xC7, 0xC1, 0xFF, 0xFF, 0xFF, 0xFF)             // mov rcx,-1             this process
	p.code(0x33, 0xD2, 0x45, 0x33, 0xC0)                         // xor edx,edx; xor r8d,r8d
	p.code(0xFF, 0x15).call("NtWaitForSingleObject")             // call [NtWaitForSingleObject]
	p.label("fail")                                              // fail:
	p.code(0x89, 0xC2, 0x48, 0xC7, 0xC1, 0xFF, 0xFF, 0xFF, 0xFF) // mov edx,eax; mov rcx,-1
	p.code(0xFF, 0x15).call("NtTerminateProcess")                // call [NtTerminateProcess]
	p.code(0xCC)                                                 // int3: not reached
	return p.bytes()
}

// pe writes small 64-bit Windows programs that import from one library: a
// section of code and one of data at a fixed address, no relocations.
type pe struct {
	text    bytes.Buffer
	store   bytes.Buffer      // content of the data section
	imports map[string]uint32 // function → RVA of its address
	labels  map[string]uint32 // label → RVA
	jumps   map[int]string    // offset of a 32-bit displacement in text → label
	thunks  [2]uint32         // RVAs of the import lookup table and of the address table
	library uint32            // RVA of the library's name
	table   uint32            // RVA of the import directory
}

const (
	peBase    = 0x140000000
	peAlign   = 0x1000
	peFile    = 0x200
	peTextRVA = 0x1000
	peDataRVA = 0x2000
)

func newPE(library string, functions ...string) *pe {
	p := &pe{imports: map[string]uint32{}, labels: map[string]uint32{}, jumps: map[int]string{}}
	var thunks []uint64
	for _, f := range functions {
		hint := append([]byte{0, 0}, append([]byte(f), 0)...)
		thunks = append(thunks, uint64(p.data(hint)))
	}
	thunks = append(thunks, 0)
	p.library = p.data(append([]byte(library), 0))
	p.thunks = [2]uint32{p.data(thunks), p.data(thunks)}
	for i, f := range functions {
		p.imports[f] = p.thunks[1] + uint32(8*i)
	}
	p.table = p.data([10]uint32{p.thunks[0], 0, 0, p.library, p.thunks[1]})
	return p
}

// data puts v into the data section, aligned to 8, and returns its RVA.
func (p *pe) data(v any) uint32 {
	p.store.Write(make([]byte, -p.store.Len()&7))
	rva := uint32(peDataRVA + p.store.Len())
	binary.Write(&p.store, binary.LittleEndian, v) // to memory, of a fixed size: cannot fail
	return rva
}

// object puts a named object's OBJECT_ATTRIBUTES into the data section.
func (p *pe) object(path string, flags uint32) uint32 {
	name := utf16.Encode([]rune(path))
	text := p.data(name)
	unicodeString := p.data(struct {
		Length, Maximum uint16
		_               uint32
		Buffer          uint64
	}{Length: uint16(2 * len(name)), Maximum: uint16(2 * len(name)), Buffer: p.address(text)})
	return p.data(struct {
		Length       uint32
		_            uint32
		Root, Name   uint64
		Attributes   uint32
		_            uint32
		Security, QS uint64
	}{Length: 48, Name: p.address(unicodeString), Attributes: flags})
}

// address is where the program finds what is at rva.
func (p *pe) address(rva uint32) uint64 { return peBase + uint64(rva) }

func (p *pe) code(b ...byte) *pe {
	p.text.Write(b)
	return p
}

// data32 writes the distance from the next instruction to rva.
func (p *pe) data32(rva uint32) {
	next := uint32(peTextRVA + p.text.Len() + 4)
	p.text.Write(binary.LittleEndian.AppendUint32(nil, rva-next))
}

func (p *pe) call(function string) { p.data32(p.imports[function]) }

func (p *pe) label(name string) { p.labels[name] = uint32(peTextRVA + p.text.Len()) }

func (p *pe) jump(label string) {
	p.jumps[p.text.Len()] = label
	p.text.Write(make([]byte, 4))
}

// bytes is the finished file.
func (p *pe) bytes() []byte {
	text := p.text.Bytes()
	for at, label := range p.jumps {
		binary.LittleEndian.PutUint32(text[at:], p.labels[label]-uint32(peTextRVA+at+4))
	}
	textSize, dataSize := roundUp(len(text), peFile), roundUp(p.store.Len(), peFile)

	var out bytes.Buffer
	put := func(v any) { binary.Write(&out, binary.LittleEndian, v) }
	put([64]byte{0: 'M', 1: 'Z', 0x3C: 0x40}) // the PE header follows at once
	put([4]byte{'P', 'E'})
	put(struct {
		Machine, Sections uint16
		Time, Sym, NumSym uint32
		OptSize, Flags    uint16
	}{Machine: 0x8664, Sections: 2, OptSize: 240, Flags: 0x23}) // relocations stripped, executable, large addresses
	put(struct {
		Magic                          uint16
		LinkMajor, LinkMinor           byte
		CodeSize, DataSize, Zero       uint32
		Entry, CodeBase                uint32
		ImageBase                      uint64
		Align, FileAlign               uint32
		OSMajor, OSMinor, Major, Minor uint16
		SubMajor, SubMinor             uint16
		Win32, ImageSize, HeaderSize   uint32
		Checksum                       uint32
		Subsystem, DLLFlags            uint16
		Stack, StackCommit             uint64
		Heap, HeapCommit               uint64
		LoaderFlags, NumDirs           uint32
	}{
		Magic: 0x20B, CodeSize: uint32(textSize), DataSize: uint32(dataSize), Entry: peTextRVA, CodeBase: peTextRVA,
		ImageBase: peBase, Align: peAlign, FileAlign: peFile, OSMajor: 6, SubMajor: 6,
		ImageSize: peDataRVA + uint32(roundUp(p.store.Len(), peAlign)), HeaderSize: peFile,
		Subsystem: 2, // windows: a console program without a terminal would start conhost
		Stack:     0x100000, StackCommit: 0x1000, Heap: 0x100000, HeapCommit: 0x1000, NumDirs: 16,
	})
	dirs := [16][2]uint32{1: {p.table, 40}}
	put(dirs)
	section := func(name string, rva, size, fileSize, offset, flags uint32) {
		var n [8]byte
		copy(n[:], name)
		put(n)
		put([8]uint32{size, rva, fileSize, offset, 0, 0, 0, flags})
	}
	section(".text", peTextRVA, uint32(len(text)), uint32(textSize), peFile, 0x60000020)
	section(".data", peDataRVA, uint32(p.store.Len()), uint32(dataSize), uint32(peFile+textSize), 0xC0000040)
	out.Write(make([]byte, peFile-out.Len()))
	out.Write(text)
	out.Write(make([]byte, textSize-len(text)))
	out.Write(p.store.Bytes())
	out.Write(make([]byte, dataSize-p.store.Len()))
	return out.Bytes()
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
