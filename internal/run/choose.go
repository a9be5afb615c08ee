package run

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// Cluster is a scheduler that --engine auto may choose. Both names are keys of
// Conductor.Engines.
type Cluster struct {
	Name       string // the engine that submits
	Allocation string // the engine that works on the nodes of an allocation
	Inside     bool   // this process is inside an allocation of it
}

// local is the engine that is always there.
const local = "local"

// answerLimit is how long --engine auto waits for a scheduler to answer.
const answerLimit = 4 * time.Second

// wanted is what was asked for about the engine.
type wanted struct {
	engine   string // auto, or a name
	fallback string // what the configuration says, for auto; "" or auto: nothing
	fresh    bool   // submit, also from inside an allocation
	resource job.Resource
}

// chosen is an engine, and what can be had there.
type chosen struct {
	name string
	engine.Engine
	info engine.Info
	why  string // for a person; "": there was nothing to choose
}

// choose settles the engine. auto means: inside an allocation its nodes; else what the
// configuration says; else the first scheduler that answers; else this machine. The
// scheduler's own name means its allocation, too, where the command stands in one.
func (c *Conductor) choose(ctx context.Context, w wanted) (chosen, error) {
	if w.engine == "" {
		w.engine = "auto"
	}
	for _, k := range c.Clusters {
		if k.Inside && !w.fresh && (w.engine == "auto" || w.engine == k.Name) {
			ch, err := c.reach(ctx, k.Allocation, w.resource)
			ch.why = "inside " + ch.info.Description
			return ch, err
		}
	}
	name := w.engine
	if name == "auto" && w.fallback != "" {
		name = w.fallback
	}
	if name == "auto" {
		return c.firstThatAnswers(ctx, w.resource)
	}
	if w.fresh && !slices.ContainsFunc(c.Clusters, func(k Cluster) bool { return k.Name == name }) {
		return chosen{}, job.BadInputf("--new submits to a scheduler, and engine %s is none", name)
	}
	ch, err := c.reach(ctx, name, w.resource)
	if w.engine == "auto" {
		ch.why = "by the configuration: " + ch.info.Description
	} else if name != local {
		ch.why = ch.info.Description
	}
	return ch, err
}

// firstThatAnswers asks the schedulers one after the other.
func (c *Conductor) firstThatAnswers(ctx context.Context, want job.Resource) (chosen, error) {
	var silent []string
	for _, k := range c.Clusters {
		limited, stop := context.WithTimeout(ctx, answerLimit)
		ch, err := c.reach(limited, k.Name, want)
		late := limited.Err() != nil
		stop()
		switch {
		case err == nil:
			ch.why = ch.info.Description
			return ch, nil
		case ctx.Err() != nil:
			return chosen{}, ctx.Err()
		case errors.Is(err, engine.ErrMissing): // as on most machines: not worth a word
		case errors.Is(err, engine.ErrUnavailable), late:
			silent = append(silent, k.Name+" does not answer")
		default: // it answers, and not what was hoped for
			return chosen{}, err
		}
	}
	ch, err := c.reach(ctx, local, want)
	ch.why = strings.Join(silent, "; ")
	return ch, err
}

// reach asks an engine what it has.
func (c *Conductor) reach(ctx context.Context, name string, want job.Resource) (chosen, error) {
	e, err := c.engineOf(name)
	if err != nil {
		return chosen{}, err
	}
	info, err := e.Info(ctx, want)
	if err != nil {
		return chosen{}, engineError(name, "asking what it has", err)
	}
	return chosen{name: name, Engine: e, info: info}, nil
}

// scheduled reports whether that engine submits to a scheduler.
func (c *Conductor) scheduled(name string) bool {
	return slices.ContainsFunc(c.Clusters, func(k Cluster) bool { return k.Name == name })
}

// schedulerOf is the scheduler that an engine belongs to: its own name, unless it
// works in an allocation, which is gone one day.
func (c *Conductor) schedulerOf(name string) string {
	for _, k := range c.Clusters {
		if name == k.Allocation && name != "" {
			return k.Name
		}
	}
	return name
}
