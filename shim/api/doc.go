// Package api is the control socket: how the command line, and anybody who is root, steers the daemon. It is HTTP and JSON
// over a unix socket, so that curl will do:
//
//	curl --unix-socket /run/sallyport/sallyport.sock http://sallyport/v1/groups
//
//	GET    /v1/version                  the daemon's version
//	GET    /v1/groups                   every group's status
//	GET    /v1/groups/{group}           one group's
//	DELETE /v1/groups/{group}           remove it                        (stream)
//	POST   /v1/groups/{group}/restart   ?container=NAME                  (stream)
//	GET    /v1/groups/{group}/logs      ?container=NAME&follow=1&tail=N  (stream)
//	GET    /v1/events                   ?group=NAME&kind=KIND&follow=1&tail=N  (stream)
//	POST   /v1/preview                  {"files":[...]}: what apply would do
//	POST   /v1/apply                    {"files":[...]}                  (stream)
//	POST   /v1/exec                     upgrades to the frames of frame.go
//
// A stream is a line of JSON for each thing that happens, the last of them {"done":true} or {"error":{...}}. An error that
// comes before anything else has a status code as well. Both sides ignore fields, events and frames they don't know.
//
// What bites: a caller that goes away ends only the waiting. What it had installed stays installed.
package api
