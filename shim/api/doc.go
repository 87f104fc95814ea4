// Package api is the control socket: its server, its client and the types that travel between them.
// Root controls the daemon through it, with the command or any other program. The configuration
// can admit operators, who may do the same, and readers, who get what [Server] marks for them. It
// is HTTP and JSON over a unix socket, so curl is enough:
//
//	curl --unix-socket /run/sallyport/sallyport.sock http://sallyport/v1/groups
//
// The routes, with their query or body:
//
//	GET    /v1/version                             the daemon's version
//	GET    /v1/configuration                       the daemon's configuration
//	GET    /v1/groups                              status of all groups
//	GET    /v1/groups/{group}                      status of one group
//	GET    /v1/problems                            group files that can't be used, and why
//	GET    /v1/disks                               the disks, and what fills those that are full
//	GET    /v1/usage                               what takes the room of the instance
//	GET    /v1/images                              the images, and who uses them
//	DELETE /v1/images                              ?image=NAME&image=NAME: remove them (stream)
//	GET    /v1/images/digest                       ?image=NAME: what it means now (stream)
//	POST   /v1/images/load                         ?path=PATH&name=NAME, or an archive (stream)
//	POST   /v1/images/prune                        ?dry_run=true&by_hand=true (stream)
//	POST   /v1/images/pull                         ?image=NAME: ask its registry (stream)
//	POST   /v1/registries/login                    {"registry":NAME,"user":NAME,"password":TEXT}
//	POST   /v1/registries/logout                   ?registry=NAME
//	GET    /v1/groups/{group}/history              the group's generations, newest first
//	GET    /v1/groups/{group}/history/{generation} the group file of a generation
//	GET    /v1/groups/{group}/diff                 ?before=GENERATION&now=GENERATION
//	POST   /v1/preview                             {"files":[...]}: what apply would do
//	POST   /v1/apply                               {"files":[...]} and ?detach=true (stream)
//	POST   /v1/apply/locked                        the same, for files with a lock file
//	POST   /v1/groups/{group}/rollback             ?to=GENERATION (stream)
//	POST   /v1/groups/{group}/pull                 ask for its images, and apply its file (stream)
//	DELETE /v1/groups/{group}                      ?volumes=true: remove a group (stream)
//	DELETE /v1/files/{file}                        ?volumes=true: remove its groups (stream)
//	POST   /v1/groups/{group}/restart              ?container=NAME (stream)
//	POST   /v1/groups/{group}/signal               ?container=NAME&signal=NUMBER
//	POST   /v1/groups/{group}/stop                 stop until start is requested (stream)
//	POST   /v1/groups/{group}/start                start a stopped group (stream)
//	GET    /v1/groups/{group}/wait                 exit status of a job, when complete (stream)
//	GET    /v1/groups/{group}/settle               ?for=DURATION: when it has run so long (stream)
//	GET    /v1/groups/{group}/logs                 its output, see below (stream)
//	GET    /v1/removed                             the output that is kept of removed groups
//	GET    /v1/removed/{group}/logs                that of the latest one with that name (stream)
//	GET    /v1/events                              ?group=NAME&kind=KIND, and below (stream)
//	POST   /v1/exec                                JSON, then the frames of frame.go
//	POST   /v1/exec/as                             the same, with user, env, workdir and timeout
//	POST   /v1/copy                                JSON, then the frames of frame.go
//	POST   /v1/forward                             JSON, then a frame with an id, until the end
//	POST   /v1/forward/{id}/{port}                 a connection, in the frames of frame.go
//	GET    /v1/runs                                runs: queued, going on, over
//	GET    /v1/runs/{run}                          one run
//	POST   /v1/runs                                {"run":{...}}: start or join it, see below
//	POST   /v1/locked/runs                         the same, for a file with a lock file
//
// The query for output is ?container=NAME&follow=true&tail=N&times=true&since=TIME&until=TIME, with
// times of RFC 3339. The answer of a daemon that knows the last three has the header
// Sallyport-Times. Events take follow and tail.
//
// A stream has one line of JSON for each thing that happens. A verb that gets images has up to four
// lines a second for each of them:
//
//	{"transfer":{"image":"busybox:1.37","stage":"pull","done":1048576,"total":2097152,"ms":250}}
//
// The last line is {"done":true} or {"error":{...}}. If an error comes before everything else, its
// status code shows it too. Both sides ignore fields, events and frames that they don't know.
// The request for a run chooses its ID, so it can be sent again. It asks for output that follows
// the first "stdout" and "stderr" bytes. With "Upgrade: sallyport-run-1" it is answered with the
// frames of frame.go, until the run is over. Without that, the answer is the run as soon as it is
// accepted. A run that is not detached is ended when it has had no connection for a while.
//
// A stream has one line of JSON for each thing that happens. The last line is {"done":true} or
// {"error":{...}}. If an error comes before everything else, its status code shows it too. Both
// sides ignore fields, events and frames that they don't know.
//
// Pitfall: a caller that disconnects only stops waiting. What it had installed stays installed.
package api
