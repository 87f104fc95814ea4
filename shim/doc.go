// Package shim keeps every group as its definition says. One runner per group looks, plans and acts, again and again:
//
//	 changed file, apply, restart, a container's end, others' hands, 30 s
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
// Nothing is remembered of what is: it is looked at. On disk is what is wanted ([Store]) and what happened ([Journal]).
// So a keeper that is killed between any two steps is followed by one that looks and goes on from there, and one that
// is stopped leaves every group running.
//
// What bites: unknown is not absent. A read that failed must come back as [Unknown] (or as an error of Observe), or the
// keeper will take the group for gone and build it a second time.
package shim
