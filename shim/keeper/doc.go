// Package keeper keeps every group of the store: one runner for each, and the calls that change
// what is wanted of them.
//
//	apply, rollback, rm ─► the group files ─┐
//	an edit by hand, SIGHUP, a start ───────┤
//	stop, start ───────────► the store ─────┤
//	                                        ▼
//	                                   Keeper.load
//	                                        │ Runner.Want
//	                    ┌───────────────────┼───────────────────┐
//	                    ▼                   ▼                   ▼
//	              runner of "shop"    runner of "job"    runner of an orphan
//	                    │
//	                    └─ revert, outcome, digests ([runner.Owner]) ─► the store
//
// [Keeper.Run] loads the store, makes a runner for each group, and wakes the runners when the host
// changes. Each runner observes, plans and acts by itself. Package runner has the picture.
//
// A call that changes what is wanted has three parts. It changes the store while it holds the right
// to it (lock). It passes the result to the runners (load). Then it waits until each of them has a
// result ([runner.Waiter]). Group files are read before the first part, since their file system may
// not answer ([store.Reading]). Only an apply does more. It first makes sure that the groups can be
// built, and in the end it puts back the files that could not be built. The type change has its
// steps:
//
//	read ─► prepare: ports, volumes, images ─► install ─► wait ─► collectResults
//	                                                                    │ a group was not built
//	                                                                    ▼
//	                                                                   undo
//
// The keeper remembers nothing about the host. The disk has what is wanted ([store.Store]), with
// the digests of its images ([group.ImageDigests]), and what happened ([journal.Journal]). So after
// a keeper was killed between any two steps, the next one observes and goes on from there. A keeper
// that is stopped leaves every group running.
//
// A run is a group too, with a runner of its own, but it comes from no file and is removed when its
// app has ended. See the type run.
//
// Pitfall: a runner without a wanted definition removes its group. A new runner runs only after
// its first Want, and a group whose file cannot be read keeps its last good definition.
package keeper
