package ui

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// inOurWords rewrites the part of an error's text that Go or the system wrote
// ("open /in: no such file or directory") as a sentence, and reports whether
// there was such a part. What was said around it stays.
func inOurWords(err error) (string, bool) {
	all := err.Error()
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	var run *exec.Error
	var no syscall.Errno
	switch {
	case errors.As(err, &path):
		if words := ourWords(path.Err, fmt.Sprintf("%q", path.Path)); words != "" {
			return strings.Replace(all, path.Error(), words, 1), true
		}
	case errors.As(err, &link):
		if words := ourWords(link.Err, fmt.Sprintf("%q", link.New)); words != "" {
			return strings.Replace(all, link.Error(), words, 1), true
		}
	case errors.As(err, &run):
		if errors.Is(run.Err, exec.ErrNotFound) {
			return strings.Replace(all, run.Error(), fmt.Sprintf("the command %q is not installed, or not in PATH", run.Name), 1), true
		}
	case errors.As(err, &call):
		if words := ourWords(call.Err, ""); words != "" {
			return strings.Replace(all, call.Error(), words, 1), true
		}
	case errors.As(err, &no):
		if words := ourWords(no, ""); words != "" {
			return strings.Replace(all, no.Error(), words, 1), true
		}
	}
	return "", false
}

// ourWords says what an errno means, of the file name or, when it is "", of
// nothing in particular. It is "" for an error it has no better words for.
func ourWords(err error, name string) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			no = syscall.ENOENT
		case errors.Is(err, fs.ErrExist):
			no = syscall.EEXIST
		case errors.Is(err, fs.ErrPermission):
			no = syscall.EACCES
		default:
			return ""
		}
	}
	if about, ok := ofFile(no); ok && name != "" {
		return name + " " + about
	}
	general := inGeneral(no)
	if general != "" && name != "" {
		return fmt.Sprintf("%s: %s", name, general)
	}
	return general
}

// ofFile completes a sentence that begins with a file's name.
func ofFile(no syscall.Errno) (string, bool) {
	switch no {
	case syscall.ENOENT:
		return "does not exist", true
	case syscall.EACCES, syscall.EPERM:
		return "may not be used: you have no permission for it", true
	case syscall.EEXIST:
		return "exists already", true
	case syscall.ENOTDIR:
		return "is not a folder, or lies below something that is none", true
	case syscall.EISDIR:
		return "is a folder, not a file", true
	case syscall.ENOTEMPTY:
		return "is a folder that is not empty", true
	case syscall.EROFS:
		return "is on a file system that can only be read", true
	case syscall.ENAMETOOLONG:
		return "is too long a name for its file system", true
	case syscall.ELOOP:
		return "is a link that leads in a circle, or is not allowed here", true
	case syscall.ETXTBSY:
		return "is a program that is being run or written at the moment", true
	case syscall.ESTALE:
		return "was removed or replaced on the file server meanwhile", true
	case syscall.ENOEXEC:
		return "is no program that this machine can run", true
	case syscall.EBUSY:
		return "is in use", true
	case syscall.EXDEV:
		return "is on another file system", true
	}
	return "", false
}

// inGeneral is a sentence of its own.
func inGeneral(no syscall.Errno) string {
	switch no {
	case syscall.ENOENT:
		return "a file or folder does not exist"
	case syscall.EACCES, syscall.EPERM:
		return "you have no permission for this"
	case syscall.ENOSPC:
		return "there is no space left on the disk"
	case syscall.EDQUOT:
		return "your disk quota is used up"
	case syscall.EFBIG:
		return "the file would be larger than allowed here"
	case syscall.EIO:
		return "the disk or the file server failed"
	case syscall.EMFILE:
		return "this process has as many files open as its limit allows (ulimit -n)"
	case syscall.ENFILE:
		return "this machine has as many files open as it can"
	case syscall.ENOMEM:
		return "there is not enough memory"
	case syscall.EAGAIN:
		return "the system has no more of this just now: often the limit on processes (ulimit -u)"
	case syscall.ENOLCK:
		return "the file server cannot lock files"
	case syscall.ECONNREFUSED:
		return "nothing answers there: the connection was refused"
	case syscall.ETIMEDOUT:
		return "there was no answer in time"
	case syscall.EPIPE:
		return "the reader has gone away"
	case syscall.ENOSYS, syscall.EOPNOTSUPP:
		return "this system cannot do that"
	case syscall.E2BIG:
		return "the command line and the environment are too long together"
	}
	return ""
}
