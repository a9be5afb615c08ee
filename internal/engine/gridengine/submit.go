package gridengine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// A submission has three steps, so that nothing is in the queue that Find would not find:
//
//  1. the array's folder, with what is to be submitted; its name, which follows from the tag, is in the
//     name of every job
//  2. a qsub for each piece; when there are several, they are held back
//  3. the mark "submitted", and the pieces are let go
//
// Whoever is killed before step 3, or gets no answer, leaves it to Find to look for the jobs.

// Submit hands the array to Grid Engine: one qsub, or one for each piece.
func (e *Engine) Submit(ctx context.Context, a job.Array) (engine.ID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := engine.Check(a); err != nil {
		return "", err
	}
	id, err := e.submit(ctx, a)
	if err != nil {
		return "", fmt.Errorf("submitting array %q: %w", a.Tag, err)
	}
	return id, nil
}

func (e *Engine) submit(ctx context.Context, a job.Array) (engine.ID, error) {
	s, err := e.site(ctx)
	if err != nil {
		return "", err
	}
	o, err := e.order(a)
	if err != nil {
		return "", err
	}
	all := pieces(a.Elements, s.maxTasks)
	o.hold = a.Hold || len(all) > 1
	// All that can be refused here is refused before anything is in the queue.
	for _, p := range all {
		if _, err := arguments(a, p, o, s); err != nil {
			return "", err
		}
	}
	if err := e.newFolder(a, o, s); err != nil {
		return "", err
	}
	for _, p := range all {
		number, err := e.qsub(ctx, a, p, o, s)
		if err == nil {
			err = put(o.folder, jobPrefix+strconv.Itoa(p.number), []byte(number+"\n"))
		}
		if errors.Is(err, engine.ErrUnavailable) || ctx.Err() != nil {
			return "", err // the answer may be lost, and the job be there: Find looks
		}
		if err != nil {
			return "", errors.Join(err, e.withdraw(ctx, o.folder))
		}
	}
	if err := touch(o.folder, submittedFile); err != nil {
		return "", err
	}
	if o.hold && !a.Hold {
		if err := e.Control(ctx, idOf(filepath.Base(o.folder)), job.OpRelease); err != nil {
			return "", err
		}
	}
	return idOf(filepath.Base(o.folder)), nil
}

// order settles what qsub is told beside the array.
func (e *Engine) order(a job.Array) (order, error) {
	o := order{
		folder:  filepath.Join(e.base(), token(a.Tag)),
		command: e.o.Command,
		atOnce:  e.o.Parallel,
		hold:    a.Hold,

		killWait: e.o.KillWait,
	}
	for _, id := range a.After {
		t := tokenOf(engine.ID(id))
		if t == "" {
			return o, no("it is to wait for %q, which is no array of this engine", id)
		}
		before, err := load(e.base(), t)
		if err != nil {
			return o, err
		}
		if before == nil {
			continue // long gone, and so ended
		}
		for _, p := range before.pieces() {
			if number := before.jobs[p.number]; number != "" {
				o.after = append(o.after, number)
			}
		}
	}
	return o, nil
}

// newFolder makes the array's folder. One of the same tag that is there already may be that
// of a submission that came to nothing; otherwise this would be the second of an array.
func (e *Engine) newFolder(a job.Array, o order, s *site) error {
	if err := os.MkdirAll(e.base(), 0o700); err != nil {
		return err
	}
	e.forget(time.Now())
	if err := os.Mkdir(o.folder, 0o700); errors.Is(err, fs.ErrExist) {
		return no("there is an array with this tag already, %s", idOf(filepath.Base(o.folder)))
	} else if err != nil {
		return err
	}
	queues, err := s.queuesFor(a.Resource.Partition)
	if err != nil {
		return err
	}
	term, _ := limits(a, s.maxTime(queues), o.killWait)
	h := head{
		Version:  headVersion,
		Tag:      a.Tag,
		Name:     strings.ToValidUTF8(a.Name, "?"),
		Elements: a.Elements,
		PerJob:   s.maxTasks,
		LogDir:   a.LogDir,
		After:    a.After,
		Requeue:  a.Requeue,
		Time:     term,
		Warn:     a.Warn,
		KillWait: o.killWait,
		Created:  time.Now(),
	}
	b, err := json.Marshal(h)
	if err == nil {
		err = os.MkdirAll(filepath.Join(o.folder, askedDir), 0o700)
	}
	if err == nil {
		err = put(o.folder, headFile, append(b, '\n'))
	}
	if err == nil && a.Hold {
		err = touch(o.folder, holdFile)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(o.folder))
	}
	return nil
}

// qsub submits one piece and returns its job's number.
func (e *Engine) qsub(ctx context.Context, a job.Array, p piece, o order, s *site) (string, error) {
	argv, err := arguments(a, p, o, s)
	if err != nil {
		return "", err
	}
	text := script(a, p, o)
	if a.Scripts != "" {
		name := fmt.Sprintf("%s-%d.sh", filepath.Base(o.folder), p.number)
		if err := os.WriteFile(filepath.Join(a.Scripts, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("keeping the script: %w", err)
		}
	}
	in, err := proc.Memfile("script")
	if err != nil {
		return "", err
	}
	defer in.Close()
	if _, err := in.WriteString(text); err != nil {
		return "", fmt.Errorf("handing over the script: %w", err)
	}
	if _, err := in.Seek(0, 0); err != nil {
		return "", err
	}
	got, err := e.ask(ctx, in, packEnv(a.Env), argv[0], argv[1:]...)
	if err != nil {
		return "", err
	}
	if !got.ok() {
		return "", refused("qsub", got)
	}
	number, _, _ := strings.Cut(strings.TrimSpace(got.stdout), ".")
	if !isNumber(number) {
		return "", fmt.Errorf("%w: qsub answered %q, which names no job", engine.ErrUnavailable, strings.TrimSpace(got.stdout))
	}
	return number, nil
}

// envPrefix begins the names of the variables in which the elements' environment
// travels. Grid Engine drops values with newlines, and sets PATH, HOME and others to its own.
const envPrefix = "MUSTER_GE_ENV_"

// envChunk is how much of it goes into one variable: the kernel takes at most 128 KiB.
const envChunk = 96 << 10

// packEnv puts an environment into variables that Grid Engine leaves as they are.
func packEnv(env []string) []string {
	text := base64.StdEncoding.EncodeToString([]byte(strings.Join(env, "\x00")))
	var out []string
	for i := 1; text != "" || i == 1; i++ {
		n := min(len(text), envChunk)
		out = append(out, envPrefix+strconv.Itoa(i)+"="+text[:n])
		text = text[n:]
	}
	return out
}

// unpackEnv is the other end of packEnv, and returns what else there is.
func unpackEnv(environ []string) (env, rest []string, err error) {
	chunks := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if n, ok := strings.CutPrefix(name, envPrefix); ok {
			chunks[n] = value
		} else {
			rest = append(rest, kv)
		}
	}
	var text strings.Builder
	for i := 1; i <= len(chunks); i++ {
		text.WriteString(chunks[strconv.Itoa(i)])
	}
	b, err := base64.StdEncoding.DecodeString(text.String())
	if err != nil || len(chunks) == 0 {
		return nil, rest, errors.New("the environment of the submission has not arrived: was the job submitted with qsub -V?")
	}
	if len(b) > 0 {
		env = strings.Split(string(b), "\x00")
	}
	return env, rest, nil
}

// withdraw undoes a submission of which a part was refused.
func (e *Engine) withdraw(ctx context.Context, folder string) error {
	a, err := load(e.base(), filepath.Base(folder))
	if err != nil || a == nil {
		return err
	}
	if err := e.qdel(ctx, a); err != nil {
		return fmt.Errorf("taking back what was accepted: %w", err)
	}
	return os.RemoveAll(folder)
}

// Show returns what Submit would give to qsub for the array's first piece. What the site
// is like is known from an earlier Info or Submit; without one, placeholders stand for it.
func (e *Engine) Show(a job.Array) (argv []string, text string, err error) {
	e.mu.Lock()
	s := e.known
	e.mu.Unlock()
	if s == nil {
		s = unknownSite(a.Resource.Partition)
	}
	o, err := e.order(a)
	if err != nil {
		return nil, "", err
	}
	all := pieces(max(a.Elements, 1), s.maxTasks)
	o.hold = a.Hold || len(all) > 1
	argv, err = arguments(a, all[0], o, s)
	if err != nil {
		return nil, "", err
	}
	return argv, script(a, all[0], o), nil
}

// unknownSite has everything, under names that say so.
func unknownSite(partition string) *site {
	name, _, _ := strings.Cut(partition, "@")
	return &site{
		queues:    []queue{{name: name, batch: true, parallels: []string{"PARALLEL_ENVIRONMENT"}}},
		parallels: []parallel{{"PARALLEL_ENVIRONMENT", "$pe_slots"}},
		complexes: []complex_{
			{name: "exclusive", relop: "EXCL", requestable: "YES", kind: "BOOL"},
			{name: "memory", requestable: "YES", consumable: "YES", kind: "MEMORY"},
			{name: "gpu", requestable: "YES", consumable: "YES", kind: "INT"},
		},
	}
}
