// Reads COUNT records with kafkajs and the CloudEvents SDK. It validates each with the SDK's JSON
// Schema of CloudEvents 1.0, and prints a line for each.
//   node read.js BOOTSTRAP TOPIC COUNT
'use strict';
const { CloudEvent, Kafka: CloudEventsKafka } = require('cloudevents');
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs');
const lz4 = require('lz4js');

CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
    decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

const [bootstrap, topic, count] = process.argv.slice(2);
const previous = new Map(); // partition → id of the event before

function assertThatTheSchemaRefuses() {
    const event = new CloudEvent({ id: '1', type: 't', source: '' }, false);
    let refused = false;
    try {
        event.validate();
    } catch {
        refused = true;
    }
    if (!refused)
        throw new Error('an event without a source is valid: the schema is not applied');
}

function line(partition, message) {
    const headers = {};
    for (const [name, value] of Object.entries(message.headers))
        headers[name] = value.toString();
    const text = { key: message.key.toString(), value: message.value.toString(), headers };
    const event = CloudEventsKafka.toEvent(text);
    event.validate(); // throws an error of the schema
    const follows = event.previousid === previous.get(partition);
    previous.set(partition, event.id);
    return [
        event.specversion, event.type, event.source, event.partitionkey,
        `sequence=${event.sequence}`, follows ? 'follows' : 'does-not-follow',
        event.datacontenttype, event.data.op, event.data.after?.name ?? '-',
    ].join(' ');
}

async function main() {
    assertThatTheSchemaRefuses();
    const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
    const consumer = kafka.consumer({ groupId: `read-${process.pid}` });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    let left = Number(count);
    await new Promise((resolve, reject) => {
        consumer.run({
            eachMessage: async ({ partition, message }) => {
                try {
                    if (left > 0)
                        console.log(line(partition, message));
                } catch (error) {
                    reject(error);
                }
                left--;
                if (left === 0)
                    resolve();
            },
        }).catch(reject);
    });
    await consumer.disconnect();
}

main().then(() => process.exit(0), (error) => {
    console.error(error);
    process.exit(1);
});
