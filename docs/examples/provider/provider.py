#!/usr/bin/python3
"""A provider in Python (python3-dasbus): Get Device ID of a LAN with a product of its own, and an OEM command."""
from dasbus.connection import SystemMessageBus
from dasbus.error import DBusError, ErrorMapper, get_error_decorator
from dasbus.loop import EventLoop

mapper = ErrorMapper()


@get_error_decorator(mapper)("org.causeway.Ipmi.Provider.Error.NotMine")
class NotMine(DBusError):
    """The request goes on to the next provider, or to ipmid's own command."""


class Provider:
    __dbus_xml__ = """<node><interface name="org.causeway.Ipmi.Provider"><method name="Execute">
      <arg name="channel" type="y" direction="in"/><arg name="userId" type="y" direction="in"/>
      <arg name="privilege" type="y" direction="in"/><arg name="sessionId" type="u" direction="in"/>
      <arg name="netFn" type="y" direction="in"/><arg name="lun" type="y" direction="in"/>
      <arg name="cmd" type="y" direction="in"/><arg name="data" type="ay" direction="in"/>
      <arg name="completion" type="y" direction="out"/><arg name="response" type="ay" direction="out"/>
    </method></interface></node>"""

    def Execute(self, channel, user, privilege, session, netfn, lun, command, data):
        if (netfn, command) == (0x06, 0x01):
            if channel == 15:
                raise NotMine("the host sees ipmid's own answer")
            return 0x00, [0x42, 0x01, 0x02, 0x00, 0x02, 0x80, 0xd9, 0x7e, 0x00, 0x34, 0x12]
        return 0x00, list(reversed(data))


bus = SystemMessageBus(error_mapper=mapper)
bus.publish_object("/org/causeway/Ipmi/Provider", Provider())
ipmid = bus.get_proxy("org.causeway.Ipmi.Providers", "/org/causeway/Ipmi/Providers")
ipmid.Register([(0, 0x06, 0x01, 2, "Get Device ID", 0, 0, []), (0, 0x30, 0x01, 2, "Reverse", 0, 32, [])], 40)
EventLoop().run()
