package local

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errAborted means that the submitter died before the array existed.
var errAborted = errors.New("the submitter ended before the array existed")

// takeOver is the supervisor's side of a submission (see submit.go): it reads
// its order, makes the array's files in dir, says that it is ready and learns
// the array's number. Standard input and output are /dev/null and the log afterwards.
func takeOver(dir string) (*supervisor, error) {
	in := bufio.NewReader(os.Stdin)
	var o order
	if err := gob.NewDecoder(in).Decode(&o); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errAborted, err), os.RemoveAll(dir))
	}
	before, err := os.Lstat(dir)
	if err != nil {
		return nil, refuse(err)
	}
	s, err := newSupervisor(dir, o)
	if err != nil {
		return nil, refuse(err)
	}
	if err := answer(readyLine); err != nil {
		// Nobody listens; the next read tells whether the array exists.
		fmt.Fprintln(os.Stderr, err)
	}
	n, err := learnNumber(in, dir, before)
	if err == nil {
		err = detach()
	}
	if err != nil {
		return nil, errors.Join(err, s.journal.close())
	}
	s.base, s.number, s.id, s.dir = filepath.Dir(dir), n, idOf(n), dirOf(filepath.Dir(dir), n)
	return s, nil
}

// newSupervisor makes the files of the array.
func newSupervisor(dir string, o order) (*supervisor, error) {
	me, err := self()
	if err != nil {
		return nil, err
	}
	j, err := newJournal(filepath.Join(dir, eventsFile))
	if err != nil {
		return nil, err
	}
	a := o.Array
	err = j.add(head{
		Version:    headVersion,
		Tag:        a.Tag,
		Name:       strings.ToValidUTF8(a.Name, "?"),
		Elements:   a.Elements,
		After:      a.After,
		Submitted:  time.Now(),
		Supervisor: me,
	})
	if err == nil && a.Hold {
		err = touch(filepath.Join(dir, holdFile))
	}
	s := &supervisor{
		order:   o,
		dir:     dir,
		journal: j,
		held:    a.Hold,
		free:    len(a.After) == 0,
		stop:    make(chan struct{}),
		ends:    make(chan ending),
	}
	if err == nil {
		s.explain()
		err = errors.Join(s.journal.flush(), s.heartbeat())
	}
	if err != nil {
		return nil, errors.Join(err, j.close())
	}
	return s, nil
}

// refuse tells the submitter why nothing becomes of the array.
func refuse(err error) error {
	return errors.Join(err, answer(strings.ReplaceAll(err.Error(), "\n", "; ")))
}

// answer writes past os.Stdout, for which a broken pipe would end this process.
func answer(line string) error {
	if _, err := unix.Write(1, []byte(line+"\n")); err != nil {
		return fmt.Errorf("answering the submitter: %w", err)
	}
	return nil
}

// learnNumber waits until the array exists. Without a word from the submitter
// the folder itself tells: it has kept its name, and is removed, or it has got
// its number.
func learnNumber(in *bufio.Reader, dir string, before os.FileInfo) (int, error) {
	line, err := in.ReadString('\n')
	if err == nil {
		if n := number(strings.TrimSuffix(line, "\n")); n > 0 {
			return n, nil
		}
		return 0, fmt.Errorf("the submitter said %q instead of a number", line)
	}
	if !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("hearing from the submitter: %w", err)
	}
	if _, err := os.Lstat(dir); err == nil {
		return 0, errors.Join(errAborted, os.RemoveAll(dir))
	}
	base := filepath.Dir(dir)
	numbers, err := arrays(base)
	if err != nil {
		return 0, err
	}
	for _, n := range numbers {
		if now, err := os.Lstat(dirOf(base, n)); err == nil && os.SameFile(before, now) {
			return n, nil
		}
	}
	return 0, errAborted // the submitter has removed it
}

// detach lets go of the submitter's pipes.
func detach() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := unix.Dup3(int(null.Fd()), 0, 0); err != nil {
		return fmt.Errorf("letting go of the submitter: %w", err)
	}
	if err := unix.Dup3(2, 1, 0); err != nil {
		return fmt.Errorf("letting go of the submitter: %w", err)
	}
	return nil
}
