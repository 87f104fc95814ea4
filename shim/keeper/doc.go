// Package shim keeps every group as its definition says. One runner per group observes, plans and
// acts, again and again:
//
//	 changed file, apply, restart, a container's end, a probe's answer, changes by others, 30 s
//	                            │
//	                            ▼
//	┌────────► observe: present, absent, unknown   ([plan.Observed])
//	│                           │
//	│                           ▼
//	│          Plan: what is -> what should be     ([plan.Steps], pure)
//	│                           │ []Step
//	│                           ▼
//	└───────── apply, one step after the other; the first error ends it
//
// A plan has only the starts that are allowed now. If something is not ready yet, the starts after
// it are in a later plan. The probes cause that reconciliation:
//
//	create all ─► ambassador ─ready─► inits, one by one ─ended well─► sidecars ─ready─► apps
//
// A sidecar also waits for the sidecars that its after names.
//
// A group goes down in the opposite order: apps, then sidecars, then the ambassador, each with its
// grace period. The states of one container:
//
//	           ┌──────── back-off, then the ambassador's ready ◄──────────────────┐
//	           ▼                                                                  │ by its policy
//	none ─► created ─its turn─► running ◄─► ready ─ own end, or its probes' ─► stopped ─► for good
//	           ▲                   │
//	           └──── replaced: another definition, image or namespace; a restart that was asked for
//
// A group ends for good when all its apps have, or by a failure that stops the group. This is
// recorded ([group.Ended]) before anything is stopped: neither a boot nor another daemon runs such
// a group again. The states of a group are drawn at [group.State].
//
// Some rules hold in any order of events, and after an interruption anywhere:
//
//   - no process runs without rules;
//   - no app runs before the ambassador is ready;
//   - no container starts before those that it comes after;
//   - there are never two of one container;
//   - what has ended for good does not run again;
//   - one image name never means two images in a generation;
//   - unknown never destroys.
//
// Random walks check the planner and the keeper against them, on a host that records each violation
// by that name (shimtest.Invariant).
//
// The keeper does not remember the state of the host, it observes it. On disk is what is wanted
// ([store.Store]), with the digests of its images ([group.ImageDigests]), and what happened
// ([journal.Journal]). So after a keeper was killed between any two steps, the next one observes
// and goes on from there. A keeper that is stopped leaves every group running. What cannot be
// observed later is recorded when it is seen: how a container has ended, how often, and whether the
// keeper stopped it ([restart.Records]). Its task may be gone at the next observation. A record
// counts for that container alone, and no longer once the group begins from nothing. The answers of
// probes ([host.Health]) are in memory alone. A new keeper does not know them, and restarts nothing
// because of that.
//
// What bites: unknown is not absent. A failed read must come back as [host.Unknown], or as an error
// of Observe. Otherwise the keeper takes the group for gone and builds it a second time.
package keeper
