// Package shim keeps every group as its definition says. One runner per group looks, plans and acts, again and again:
//
//	 changed file, apply, restart, a container's end, a probe's word, others' hands, 30 s
//	                            │
//	                            ▼
//	┌────────► observe: present, absent, unknown   ([Observed])
//	│                           │
//	│                           ▼
//	│          Plan: what is -> what should be     ([Plan], pure)
//	│                           │ []Step
//	│                           ▼
//	└───────── apply, one step after the other; the first error ends it
//
// A plan has only the starts that may be made now. What comes after something that is not ready yet is in the plan of a later
// look, which the probes bring about:
//
//	create all ─► ambassador ─ready─► inits, one by one ─ended well─► sidecars, each after its own ─ready─► apps
//
// Down it goes the other way: apps, then sidecars, then the ambassador, each with its grace. One container's life:
//
//	           ┌────────────────────── back-off, then the ambassador's ready ◄──────┐
//	           ▼                                                                    │ again, by its policy
//	none ─► created ─its turn─► running ◄─► ready ─── its own end, or its probes' ─► stopped ─► for good
//	           ▲                   │
//	           └──── replaced: another definition, image or namespace; a restart that was asked for
//
// An end for good of all apps, or a failure that stops the group, is written down ([Ended]) before anything is taken down: no
// boot and no other daemon runs such a group again. A group's states are drawn at [State].
//
// Whatever happens, in any order, and wherever it is interrupted: never a process without rules; never an app before the
// ambassador is ready; never a container before those it comes after; never two of one container; never again what has ended for
// good; never two images of one name in a generation; unknown never destroys. Random walks hold the planner and the keeper to it, on a
// host that notes each breach by that name (shimtest.Invariant).
//
// Nothing is remembered of what is: it is looked at. On disk is what is wanted ([Store]), down to what its image names mean
// ([Pins]), and what happened ([Journal]).
// So a keeper that is killed between any two steps is followed by one that looks and goes on from there, and one that
// is stopped leaves every group running. What can't be looked at later is written down when it is seen: how a container has ended, and
// how often, and that it was the keeper who stopped it ([History]), since its task may be gone by the next look. It counts for that
// container alone, and not once the group begins from nothing. What probes have said ([Health]) is in memory alone: a new keeper
// knows nothing of it, and for that it restarts nothing.
//
// What bites: unknown is not absent. A read that failed must come back as [Unknown] (or as an error of Observe), or the
// keeper will take the group for gone and build it a second time.
package shim
