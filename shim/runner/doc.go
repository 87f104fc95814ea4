// Package runner keeps one group: it observes, plans and acts until there is nothing to do.
//
//	a new definition, a call, a container's end, a probe's answer, drift, 30 s
//	                               │ [Runner.Wake]
//	                               ▼
//	┌────────► observe the host and the records: present, absent or unknown
//	│                              │ [plan.Observed], in a [plan.Input]
//	│                              ▼
//	│          plan ([plan.Steps], pure): from what was observed to what is wanted
//	│                              │ []plan.Step; with none the group is settled
//	│                              ▼
//	└───────── execute ([Machine.Execute]) one step after the other; the first error ends it
//
// [Runner.Run] repeats this. One round is reconcile, in reconcile.go. It ends in settled or in
// failed, which answer the calls that wait and return when the next round is due.
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
//	           ▼                                                                  │ its policy
//	none ─► created ─its turn─► running ◄─► ready ─ own end, or its probes' ─► stopped ─► ended
//	           ▲                   │
//	           └──── replaced: another definition, image or namespace; an asked-for restart
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
// Random walks check the runner and the keeper against them, on a host that records each violation
// by that name (hosttest.Invariant).
//
// A runner does not remember the state of the host, it observes it. What cannot be observed later
// is recorded when it is seen: how a container has ended, how often, and whether the keeper stopped
// it ([restart.Records]). Its task may be gone at the next observation. A record counts for that
// container alone, and no longer once the group begins from nothing. The answers of probes
// ([host.Health]) are in memory alone. A new runner does not know them, and restarts nothing
// because of that.
//
// Pitfall: unknown is not absent. A failed read must come back as [host.Unknown], or as an error
// of Observe. Otherwise the runner takes the group for gone and builds it a second time.
package runner
