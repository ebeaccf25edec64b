# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_causewayctl_global_optspecs
    string join \n json bus= h/help V/version
end

function __fish_causewayctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_causewayctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_causewayctl_using_subcommand
    set -l cmd (__fish_causewayctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c causewayctl -n "__fish_causewayctl_needs_command" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_needs_command" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -s V -l version -d 'Print version'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "status" -d 'Show the daemons: which run, since when, on which channel, and what is wrong'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "doctor" -d 'Find what is wrong with this BMC, and how to mend it'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "setup" -d 'Set up a new BMC: its first user, who can log in over LAN at once'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "user" -d 'List, add, change and remove users'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "channel" -d 'List the channels, and set their access'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "cipher" -d 'List the cipher suites'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "session" -d 'List, show and close the sessions of the LAN channels'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "sol" -d 'Show and release the SOL payload, and use the host\'s console from the BMC itself'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "counters" -d 'Show what the daemons have counted since they were started'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "metrics" -d 'Print the counters as Prometheus text'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "record" -d 'Print the last requests and their responses, as the bridges have recorded them'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "trace" -d 'Print requests and responses, decoded; with --follow those that happen from now on'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "mctp" -d 'Show what mctp-demuxd sees, and exchange messages with endpoints'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "ping" -d 'Ask BMCs over LAN whether they are there'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "config" -d 'Check and reload the configuration file, and show what is in force'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "backup" -d 'Write the state of all daemons to one file, sealed under a passphrase'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "restore" -d 'Replace the state of all daemons by that of a backup'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "raw" -d 'Send a request to ipmid and print the response'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "commands" -d 'List the commands that ipmid has, who may send them, and what refuses them'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "decode" -d 'Decode an IPMI or MCTP message, record or packet, field by field'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand status" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand status" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand doctor" -l config -d 'The configuration file of the daemons' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand doctor" -l state-dir -d 'The state folder of the daemons' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand doctor" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand doctor" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l user -d 'The user\'s name [default: admin]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l channel -d 'The number of the LAN channel [default: the first one]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l interface -d 'Enable and start ipmid, and netipmid on this network interface, before; its channel is the LAN channel' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l privilege -d 'What the user may do [default: administrator]' -r -f -a "callback\t''
user\t''
operator\t''
administrator\t''
oem\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l password-file -d 'Read the password from the first line of this file; - is standard input' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l password-fd -d 'Read the password from the first line of this descriptor' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l allow-weak -d 'Take a weak password too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand setup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -f -a "list" -d 'List the users, and what they may do on which channel'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -f -a "add" -d 'Add a user who may log in at once'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -f -a "passwd" -d 'Set a user\'s password'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -f -a "access" -d 'Change what a user may do; what no option names stays'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and not __fish_seen_subcommand_from list add passwd access remove" -f -a "remove" -d 'Remove a user, with password and access'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from list" -l channel -d 'Only access to this channel' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from list" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from list" -l all -d 'Free user ids too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from list" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l id -d 'The user id [default: the first free one above 1]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l privilege -d 'What the user may do' -r -f -a "callback\t''
user\t''
operator\t''
administrator\t''
oem\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l channel -d 'The channel on which the user may do it [default: all with sessions]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l password-file -d 'Read the password from the first line of this file; - is standard input' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l password-fd -d 'Read the password from the first line of this descriptor' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l allow-weak -d 'Take a weak password too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l password-file -d 'Read the password from the first line of this file; - is standard input' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l password-fd -d 'Read the password from the first line of this descriptor' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l allow-weak -d 'Take a weak password too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from access" -l channel -d 'The channel [default: all with sessions]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from access" -l privilege -d 'The privilege limit, or none for no access to the channel' -r -f -a "callback\t''
user\t''
operator\t''
administrator\t''
oem\t''
none\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from access" -l messaging -d 'Whether the user may log in for IPMI messages' -r -f -a "on\t''
off\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from access" -l enabled -d 'Whether the account is enabled, on all channels' -r -f -a "on\t''
off\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from access" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from access" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from access" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from remove" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand user; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and not __fish_seen_subcommand_from list set" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and not __fish_seen_subcommand_from list set" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and not __fish_seen_subcommand_from list set" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and not __fish_seen_subcommand_from list set" -f -a "list" -d 'List the channels'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and not __fish_seen_subcommand_from list set" -f -a "set" -d 'Set a channel\'s access, now and after a restart; what no option names stays'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from list" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from list" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -l mode -d 'When the channel takes messages' -r -f -a "disabled\t''
pre-boot\t''
always\t''
shared\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -l privilege -d 'The privilege limit of the channel' -r -f -a "callback\t''
user\t''
operator\t''
administrator\t''
oem\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -l alerting -d 'Whether the channel sends alerts' -r -f -a "on\t''
off\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -l volatile -d 'Only until the next restart'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -l persistent -d 'Only from the next restart on'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand channel; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and not __fish_seen_subcommand_from list" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and not __fish_seen_subcommand_from list" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and not __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and not __fish_seen_subcommand_from list" -f -a "list" -d 'List the cipher suites that clients may use, and up to which privilege'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and __fish_seen_subcommand_from list" -l channel -d 'Only those of this channel' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and __fish_seen_subcommand_from list" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and __fish_seen_subcommand_from list" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand cipher; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and not __fish_seen_subcommand_from list show close" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and not __fish_seen_subcommand_from list show close" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and not __fish_seen_subcommand_from list show close" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and not __fish_seen_subcommand_from list show close" -f -a "list" -d 'List the sessions'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and not __fish_seen_subcommand_from list show close" -f -a "show" -d 'Show one session, and its last requests as its bridge has recorded them'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and not __fish_seen_subcommand_from list show close" -f -a "close" -d 'Close sessions; their clients have to log in again'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from list" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from list" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from show" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from show" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from close" -l user -d 'All sessions of this user, by name or id' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from close" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from close" -l all -d 'All sessions'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from close" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand session; and __fish_seen_subcommand_from close" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and not __fish_seen_subcommand_from status release attach" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and not __fish_seen_subcommand_from status release attach" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and not __fish_seen_subcommand_from status release attach" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and not __fish_seen_subcommand_from status release attach" -f -a "status" -d 'Show the host\'s console and who has it over LAN'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and not __fish_seen_subcommand_from status release attach" -f -a "release" -d 'End the SOL payload of a session, which is notified; the session stays'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and not __fish_seen_subcommand_from status release attach" -f -a "attach" -d 'Attach to the host\'s console from the BMC itself; ~. at the start of a line detaches'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from status" -l channel -d 'The LAN channel, by name; needed where there are several' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from status" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from status" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from release" -l channel -d 'The LAN channel, by name; needed where there are several' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from release" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from release" -l all -d 'All instances'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from release" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from attach" -l channel -d 'The LAN channel, by name; needed where there are several' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from attach" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from attach" -l write -d 'Send what is typed to the host too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from attach" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand sol; and __fish_seen_subcommand_from attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand counters" -l watch -d 'Show again what has changed, every so many seconds, until it is interrupted' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand counters" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand counters" -l all -d 'Counters that are 0 too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand counters" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand counters" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand metrics" -l output -l textfile -d 'Write this file' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand metrics" -l each -d 'Those of many BMCs, each with the label `bmc`: of NAME, where the bus is FOLDER/NAME/bus' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand metrics" -l listen -d 'Serve them at this address and port, such as 127.0.0.1:9623' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand metrics" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand metrics" -l public -d 'Serve them at an address that other machines reach too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand metrics" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand metrics" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand record" -l channel -d 'Only requests of this channel, by its name' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand record" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand record" -l ipmid -d 'Requests as ipmid has them, those of programs on the BMC too, in place of the bridges\''
complete -c causewayctl -n "__fish_causewayctl_using_subcommand record" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand record" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l channel -d 'Only requests of this channel, by its name' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l write -d 'Write a capture for Wireshark to this file, and print nothing' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l count -d 'End after so many requests, or packets' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l ipmid -d 'Requests as ipmid has them, those of programs on the BMC too, in place of the bridges\''
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l mctp -d 'MCTP packets as they pass, in place of requests'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l follow -d 'Show requests as they happen'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand trace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -f -a "endpoints" -d 'List the endpoints: this one, and those that are known'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -f -a "bindings" -d 'List the bindings, and what went over each'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -f -a "clients" -d 'List the clients of the socket'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -f -a "send" -d 'Send one message to an endpoint, and show its answer'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and not __fish_seen_subcommand_from endpoints bindings clients send ping" -f -a "ping" -d 'Ask an endpoint for its id, and show how long that takes'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from endpoints" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from endpoints" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from endpoints" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from bindings" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from bindings" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from bindings" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from clients" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from clients" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from clients" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from send" -l timeout -d 'How long to wait for the answer; 0 does not wait' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from send" -l socket -d 'The abstract socket of mctp-demuxd' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from send" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from send" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from ping" -l count -d 'How often' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from ping" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from ping" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand mctp; and __fish_seen_subcommand_from ping" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand ping" -l wait -d 'How long to wait for answers' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand ping" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand ping" -l quiet -d 'Print only those that do not answer'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand ping" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand ping" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and not __fish_seen_subcommand_from check show diff reload" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and not __fish_seen_subcommand_from check show diff reload" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and not __fish_seen_subcommand_from check show diff reload" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and not __fish_seen_subcommand_from check show diff reload" -f -a "check" -d 'Have every installed daemon check the file, and show errors with file and line'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and not __fish_seen_subcommand_from check show diff reload" -f -a "show" -d 'Show what is in force in the daemons, and where each value is from'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and not __fish_seen_subcommand_from check show diff reload" -f -a "diff" -d 'Show what a reload would change, and what a restart'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and not __fish_seen_subcommand_from check show diff reload" -f -a "reload" -d 'Reload the configuration of the daemons; no session, client or bridge ends'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from check" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from show" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from diff" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from diff" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from reload" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from reload" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand config; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -l config -d 'The configuration file of the daemons, which names the product' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -l root -d 'The folder that /var/lib is below, such as a mounted image' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -l passphrase-file -d 'Read the passphrase from the first line of this file; - is standard input' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -l passphrase-fd -d 'Read the passphrase from the first line of this descriptor' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -l allow-weak -d 'Take a weak passphrase too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l config -d 'The configuration file of the daemons, which names the product' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l root -d 'The folder that /var/lib is below, such as a mounted image' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l passphrase-file -d 'Read the passphrase from the first line of this file; - is standard input' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l passphrase-fd -d 'Read the passphrase from the first line of this descriptor' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l dry-run -d 'Show what would be replaced, and change nothing'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l force -d 'Take the backup of another product too'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l channel -d 'Send it as the bridge of this channel, by the channel\'s name' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l user-id -d 'The user id of the session, on a channel with sessions' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l privilege -d 'The privilege of the session' -r -f -a "callback\t''
user\t''
operator\t''
administrator\t''
oem\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l session -d 'The id of the session' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l satellite -d 'The address of the satellite that sends it, on an IPMB' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l lun -d 'The logical unit' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l netfn -d 'Only commands of this network function' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l refused -d 'Only commands that a filter refuses on a channel'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -l file -d 'Read the bytes from this file' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -l port -d 'The port of the BMC in a capture, beside 623 and 664' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand completions" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand completions" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
