package trim

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
)

// As a program starts, ntdll.so reads what the machine's processors look like from /sys: 27 files for each
// processor, of which few programs ever hear. LazyTopology puts that off until a program asks.
//
// init_cpu_info no longer calls create_logical_proc_info. The three places that use what that has found load a
// pointer first; instead they call code that is put behind the library's own (the rest of the last page,
// which is mapped with it), looks once, under a lock, and then loads the pointer:
//
//	lazy:   cmp dword [state],2        ; 0 nobody has looked, 1 somebody does, 2 done
//	        je done
//	        push rax … r11, rbx        ; ten registers: whoever calls expects a load, and the stack stays aligned
//	        xor eax,eax; mov ecx,1
//	        lock cmpxchg [state],ecx
//	        je look
//	wait:   cmp dword [state],2
//	        je out
//	        mov eax,24; syscall        ; sched_yield
//	        jmp wait
//	look:   call finish
//	        mov dword [state],2
//	out:    pop rbx, r11 … rax
//	done:   ret
//	finish: push r12; push rbp; push rbx; lea rbx,[channel]; sub rsp,30h
//	        call create_logical_proc_info
//	        test eax,eax
//	        je kept                    ; on in init_cpu_info, which gives registers and stack back
//	        jmp failed
//	load:   call lazy; mov reg,[pointer]; ret
//
// That takes knowing addresses, so it is done for builds that are known as a whole.
func LazyTopology(b []byte) ([]byte, error) {
	sum := sha256.Sum256(b)
	build, ok := topologyBuilds[hex.EncodeToString(sum[:])]
	if !ok {
		return nil, ErrOther
	}
	lib, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	free, room, ok := behindCode(lib, b)
	state, writable := behindData(lib)
	if !ok || !writable {
		return nil, ErrOther
	}
	code := &x86{at: free}
	lazy := code.at
	code.bytes(0x83, 0x3D).to(state, 1).bytes(0x02) // cmp dword [state],2
	done := code.short(0x74)
	code.bytes(0x50, 0x51, 0x52, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53, 0x53)
	code.bytes(0x31, 0xC0, 0xB9, 1, 0, 0, 0)
	code.bytes(0xF0, 0x0F, 0xB1, 0x0D).to(state, 0)
	look := code.short(0x74)
	wait := code.at
	code.bytes(0x83, 0x3D).to(state, 1).bytes(0x02)
	out := code.short(0x74)
	code.bytes(0xB8, 24, 0, 0, 0, 0x0F, 0x05)
	code.bytes(0xEB, byte(int8(int64(wait)-int64(code.at)-2)))
	code.here(look)
	finish := code.call()
	code.bytes(0xC7, 0x05).to(state, 4).bytes(2, 0, 0, 0)
	code.here(out)
	code.bytes(0x5B, 0x41, 0x5B, 0x41, 0x5A, 0x41, 0x59, 0x41, 0x58, 0x5F, 0x5E, 0x5A, 0x59, 0x58)
	code.here(done)
	code.bytes(0xC3)

	code.patch(finish, code.at)
	code.bytes(0x41, 0x54, 0x55, 0x53, 0x48, 0x8D, 0x1D).to(build.channel, 0).bytes(0x48, 0x83, 0xEC, 0x30)
	code.bytes(0xE8).to(build.create, 0).bytes(0x85, 0xC0)
	code.bytes(0x0F, 0x84).to(build.kept, 0).bytes(0xE9).to(build.failed, 0)

	// An address is an offset in the file up to the end of the code.
	for _, l := range build.loads {
		instruction := bytes.Clone(b[l : l+7])
		pointer := l + 7 + uint64(int64(int32(binary.LittleEndian.Uint32(instruction[3:]))))
		at := code.at
		code.bytes(0xE8).to(lazy, 0).bytes(instruction[:3]...).to(pointer, 0).bytes(0xC3)
		call := &x86{at: l}
		call.bytes(0xE8).to(at, 0).bytes(0x66, 0x90)
		copy(b[l:], call.code)
	}
	for _, c := range build.calls {
		jump := &x86{at: c}
		jump.bytes(0xE9).to(build.end, 0)
		copy(b[c:], jump.code)
	}
	if len(code.code) > room {
		return nil, ErrOther
	}
	copy(b[free:], code.code)
	return b, nil
}

// topologyBuilds are the builds of ntdll.so that are known, by their SHA-256.
var topologyBuilds = map[string]topologyBuild{
	// Debian 12, wine 8.0~repack-4, amd64
	"72b0416ac8fbefbca01194af73d6565899faf59cb3ed314171ee4891def4a340": {
		create: 0x51D80, channel: 0x8E910, calls: []uint64{0x527CC, 0x52A77},
		end: 0x52824, kept: 0x52A84, failed: 0x527D9, loads: []uint64{0x52F43, 0x53166, 0x53E43},
	},
}

// topologyBuild is where things are in one build.
type topologyBuild struct {
	create  uint64   // create_logical_proc_info
	channel uint64   // what init_cpu_info keeps in rbx: its debug channel
	calls   []uint64 // of create, in init_cpu_info
	end     uint64   // init_cpu_info's way out
	kept    uint64   // its end after create has found something
	failed  uint64   // and after it has not
	loads   []uint64 // the pointers to what it has found, where a program asks
}

const page = 0x1000

// behindCode is the room between a library's code and the end of its last page.
func behindCode(f *elf.File, b []byte) (at uint64, room int, ok bool) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Flags&elf.PF_X == 0 || p.Off != p.Vaddr {
			continue
		}
		at = (p.Off + p.Filesz + 15) &^ 15
		end := (p.Off + p.Filesz + page - 1) &^ (page - 1)
		if at >= end || end > uint64(len(b)) || len(bytes.Trim(b[at:end], "\x00")) > 0 {
			return 0, 0, false
		}
		return at, int(end - at), true
	}
	return 0, 0, false
}

// behindData is an address between a library's variables and the end of their
// last page, where there are zeroes that nobody uses.
func behindData(f *elf.File) (at uint64, ok bool) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_W != 0 {
			at = (p.Vaddr + p.Memsz + 15) &^ 15
			return at, at%page != 0
		}
	}
	return 0, false
}

// x86 is code that is to run at an address.
type x86 struct {
	at   uint64 // of the next instruction
	code []byte
}

func (c *x86) bytes(b ...byte) *x86 {
	c.code = append(c.code, b...)
	c.at += uint64(len(b))
	return c
}

// to writes the distance to an address, from the end of the instruction, of which more bytes
// follow.
func (c *x86) to(address, more uint64) *x86 {
	return c.bytes(binary.LittleEndian.AppendUint32(nil, uint32(address-c.at-4-more))...)
}

// short writes a short jump whose goal is told later, by here.
func (c *x86) short(opcode byte) int {
	c.bytes(opcode, 0)
	return len(c.code)
}

func (c *x86) here(jump int) { c.code[jump-1] = byte(len(c.code) - jump) }

// call writes a call whose goal is told later, by patch.
func (c *x86) call() int {
	c.bytes(0xE8, 0, 0, 0, 0)
	return len(c.code)
}

func (c *x86) patch(call int, to uint64) {
	binary.LittleEndian.PutUint32(c.code[call-4:], uint32(to-c.at)+uint32(len(c.code)-call))
}
