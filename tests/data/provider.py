"""A provider that does as it should not: the command says how. Its standard output has the errors of its registrations."""
import os
import sys

from gi.repository import Gio, GLib

PROVIDERS = ("org.causeway.Ipmi.Providers", "/org/causeway/Ipmi/Providers", "org.causeway.Ipmi.Providers")
INTERFACE = """<node><interface name="org.causeway.Ipmi.Provider"><method name="Execute">
<arg type="y" direction="in"/><arg type="y" direction="in"/><arg type="y" direction="in"/>
<arg type="u" direction="in"/><arg type="y" direction="in"/><arg type="y" direction="in"/>
<arg type="y" direction="in"/><arg type="ay" direction="in"/>
<arg type="y" direction="out"/><arg type="ay" direction="out"/></method></interface></node>"""
WELL, HANGS, LONG, TWICE, DIES, MALFORMED = range(0x10, 0x16)
held = []


def reply(invocation, signature, value):
    message = Gio.DBusMessage.new_method_reply(invocation.get_message())
    message.set_body(GLib.Variant(signature, value))
    bus.send_message(message, Gio.DBusSendMessageFlags.NONE)


def execute(_bus, _sender, _path, _interface, _method, arguments, invocation):
    command = arguments.unpack()[6]
    held.append(invocation)
    if command == WELL:
        reply(invocation, "(yay)", (0, [1]))
    elif command == LONG:
        reply(invocation, "(yay)", (0, [0x55] * 65536))
    elif command == TWICE:
        reply(invocation, "(yay)", (0, [1]))
        reply(invocation, "(yay)", (0, [2]))
    elif command == DIES:
        os._exit(1)
    elif command == MALFORMED:
        reply(invocation, "(s)", ("no response",))


def register(commands, priority=20):
    rows = [(0, netfn, code, 2, "Test", 0, 8, []) for netfn, code in commands]
    arguments = GLib.Variant("(a(yuyysqqay)y)", (rows, priority))
    try:
        bus.call_sync(*PROVIDERS, "Register", arguments, None, Gio.DBusCallFlags.NONE, -1, None)
        print("registered", flush=True)
    except GLib.Error as error:
        print(Gio.DBusError.get_remote_error(error), flush=True)


def flood():
    for _ in range(100):
        arguments = GLib.Variant("(a(yuyysqqay)y)", ([(0, 0x30, 0x20, 2, "Flood", 0, 8, [])], 20))
        bus.call(*PROVIDERS, "Register", arguments, None, Gio.DBusCallFlags.NONE, -1, None, None)
        bus.call(*PROVIDERS, "Unregister", None, None, Gio.DBusCallFlags.NONE, -1, None, None)
    return True


address = os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
node = Gio.DBusNodeInfo.new_for_xml(INTERFACE)
bus.register_object("/org/causeway/Ipmi/Provider", node.interfaces[0], execute, None, None)
if "refused" in sys.argv:
    register((0x30, code % 256) for code in range(10000))
    register([(0x06, 0x47)], 40)
    register([(0x30, 0x30), (0x06, 0xff)])
    register([(0x30, 0x30)], 10)
elif "flood" in sys.argv:
    GLib.timeout_add(10, flood)
    register([(0x30, 0x20)])
else:
    register((0x30, code) for code in range(WELL, MALFORMED + 1))
GLib.MainLoop().run()
