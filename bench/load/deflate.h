/* Compressed messages: see deflate.c. */
#pragma once

#include "client.h"

int inflate_message(Client *client); /* whether client->deflated was sound; its ends are in head and tail then */
