# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_causeway_vm_global_optspecs
    string join \n json state-dir= h/help V/version
end

function __fish_causeway_vm_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_causeway_vm_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_causeway_vm_using_subcommand
    set -l cmd (__fish_causeway_vm_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -s h -l help -d 'Print help'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -s V -l version -d 'Print version'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "run" -d 'Run a BMC, or those of a file, until Ctrl-C or SIGTERM ends it'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "create" -d 'Make BMCs, which `start` starts'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "list" -d 'List the BMCs'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "status" -d 'Show how a BMC is: its processes, its machine, and how to reach it'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "start" -d 'Start BMCs in the background'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "stop" -d 'Stop BMCs and their machines'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "console" -d 'Show the host\'s serial console on this terminal, and type at it'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "rm" -d 'Remove BMCs with their state: users, event log, settings and logs'
complete -c causeway-vm -n "__fish_causeway_vm_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l file -d 'Run the BMCs that this TOML file describes, instead of one' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l address -d 'The address to serve on; one other than loopback is open to everybody who reaches it' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l port -d 'The UDP port to serve on [default: the first free one from 6230]' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l user -d 'The name of the first user' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l password-file -d 'Take the password from the first line of this file; - is standard input [default: a random one]' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l password-fd -d 'Take the password from the first line of this descriptor' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l platform -d 'A file for platformd in addition: sensors, FRU images and so on' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l config -d 'A causeway.toml in addition' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l power -d 'Whether the host is switched on when the BMC starts' -r -f -a "on\t'It is switched on'
off\t'It stays as it is: off at first'"
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -s v -l verbose -d 'Show all that the daemons log'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l background -d 'Leave the session and, once the BMC is ready, standard error'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l file -d 'Make the BMCs that this TOML file describes, instead of one' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l count -d 'Make a row of so many BMCs' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l first -d 'The number of the first BMC of a row' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l address -d 'The address to serve on; one other than loopback is open to everybody who reaches it' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l port -d 'The UDP port to serve on [default: the first free one from 6230]' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l user -d 'The name of the first user' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l password-file -d 'Take the password from the first line of this file; - is standard input [default: a random one]' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l password-fd -d 'Take the password from the first line of this descriptor' -r
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l platform -d 'A file for platformd in addition: sensors, FRU images and so on' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l config -d 'A causeway.toml in addition' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l power -d 'Whether the host is switched on when the BMC starts' -r -f -a "on\t'It is switched on'
off\t'It stays as it is: off at first'"
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l start -d 'Start them too'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand list" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand list" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand list" -s h -l help -d 'Print help'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand status" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand status" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand start" -l by -d 'What starts the supervisors' -r -f -a "auto\t'Systemd\'s user manager if it runs, else this program'
systemd\t'Systemd\'s user manager, as units causeway-vm-NAME'
process\t'This program, as processes in the background'"
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand start" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand start" -l all -d 'All BMCs'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand start" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand stop" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand stop" -l all -d 'All BMCs'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand stop" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand console" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand console" -l read-only -d 'Only show it'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand console" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand console" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand rm" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand rm" -l all -d 'All BMCs'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand rm" -l stop -d 'Stop those that run'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand rm" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand completions" -l state-dir -d 'Keep state in DIR/state and sockets in DIR/run, in place of the user\'s folders' -r -F
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand completions" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causeway-vm -n "__fish_causeway_vm_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
