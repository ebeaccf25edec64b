/* A provider in C (sd-bus): Get Slot, command 02h of enterprise number 32473. Byte 1 of the request is the slot,
   byte 1 of the response the card in it.

   cc -Wall -o provider provider.c $(pkg-config --cflags --libs libsystemd) */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define PATH "/org/causeway/Ipmi/Provider"

static const uint8_t slots[] = {1, 0, 7, 0};

static int execute(sd_bus_message *request, void *userdata, sd_bus_error *error)
{
    uint8_t channel, user, privilege, netfn, lun, command;
    uint32_t session;
    const void *data;
    size_t size;
    sd_bus_message *reply = NULL;
    int result;

    result = sd_bus_message_read(request, "yyyuyyy", &channel, &user, &privilege, &session, &netfn, &lun, &command);
    if (result >= 0)
        result = sd_bus_message_read_array(request, 'y', &data, &size);
    if (result >= 0)
        result = sd_bus_message_new_method_return(request, &reply);
    if (result < 0)
        return result;
    /* ipmid sees to the length: it was registered as 1 to 1. CBh: not present. */
    uint8_t slot = *(const uint8_t *)data, present = slot < sizeof slots;
    result = sd_bus_message_append(reply, "y", present ? 0x00 : 0xcb);
    if (result >= 0)
        result = sd_bus_message_append_array(reply, 'y', present ? &slots[slot] : NULL, present);
    if (result >= 0)
        result = sd_bus_send(NULL, reply, NULL);
    sd_bus_message_unref(reply);
    return result;
}

static const sd_bus_vtable provider[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Execute", "yyyuyyyay", "yay", execute, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

int main(void)
{
    sd_bus *bus = NULL;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int result = sd_bus_open_system(&bus);

    if (result >= 0)
        result = sd_bus_add_object_vtable(bus, NULL, PATH, "org.causeway.Ipmi.Provider", provider, NULL);
    /* One command: an OEM number (2), the number, command, privilege User, name, lengths, all channels. */
    if (result >= 0)
        result = sd_bus_call_method(bus, "org.causeway.Ipmi.Providers", "/org/causeway/Ipmi/Providers",
                                    "org.causeway.Ipmi.Providers", "Register", &error, NULL, "a(yuyysqqay)y",
                                    1, 2, 32473, 0x02, 2, "Get Slot", 1, 1, 0, 20);
    while (result >= 0) {
        result = sd_bus_process(bus, NULL);
        if (result == 0)
            result = sd_bus_wait(bus, UINT64_MAX);
    }
    fprintf(stderr, "provider: %s\n", error.message ? error.message : strerror(-result));
    return 1;
}
